"""A program: load models as the engine does and print, as JSON, what llama.cpp says each takes and what it does take.

`python tests/measured_load.py dry|real MODEL CONTEXT BATCH f16|q8_0 [MODEL …]`. Dry, nothing is allocated: llama.cpp
only counts, so that a sparse file of 40 GB takes a few milliseconds.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import llama_cpp as llama

from ingle_daemon.engine import runner

_MIB = 2**20
_said: list[str] = []
_usual = llama.llama_model_default_params


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _listen(_level: int, text: bytes, _data: object) -> None:
    _said.append(text.decode("utf-8", "replace"))


def _without_allocation() -> Any:
    params = _usual()
    params.use_extra_bufts, params.no_alloc, params.load_mode = False, True, llama.LLAMA_LOAD_MODE_NONE
    return params


def measure(path: str, context: str, batch: str, kv_type: str) -> dict[str, float]:
    _said.clear()
    options = runner.RunnerOptions(path, int(context), 1, 0, "q8_0" if kv_type == "q8_0" else "f16", int(batch), 16)
    before = _anonymous()
    model = runner._load_model(options)
    loaded = runner._make_context(model, options, int(context), int(batch))
    found = {
        "kv": _said_of(r"llama_kv_cache: size = +([\d.]+) MiB"),
        "compute": _said_of(r"compute buffer size = +([\d.]+) MiB"),
        "output": _said_of(r"output buffer size = +([\d.]+) MiB"),
        "weights": float(llama.llama_model_size(model)),
        "grown": float(_anonymous() - before),
    }
    llama.llama_free(loaded)
    llama.llama_model_free(model)
    return found


def _said_of(what: str) -> float:
    return sum(float(size) for size in re.findall(what, "".join(_said))) * _MIB


def _anonymous() -> int:
    """Bytes of memory that are this process's own, which the mapped weights are not."""
    status = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Anonymous: +(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def main(mode: str, *jobs: str) -> None:
    llama.llama_log_set(_listen, None)
    if mode == "dry":
        llama.llama_model_default_params = _without_allocation
    print(json.dumps([measure(*jobs[at : at + 4]) for at in range(0, len(jobs), 4)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
