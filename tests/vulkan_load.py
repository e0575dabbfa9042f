"""A program: load a model as the engine does and print, as JSON, what llama.cpp put on the GPU. It runs in an
environment whose llama.cpp has one.

`python tests/vulkan_load.py MODEL LAYERS CONTEXT BATCH f16|q8_0`
"""

from __future__ import annotations

import json
import re
import sys

import llama_cpp as llama

from ingle_daemon.engine import runner
from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.frames import KvType

_MIB = 2**20
_said: list[str] = []


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _listen(_level: int, text: bytes, _data: object) -> None:
    _said.append(text.decode("utf-8", "replace"))


def main(path: str, layers: str, context: str, batch: str, kv_type: KvType) -> None:
    llama.llama_log_set(_listen, None)
    loaded = runner.Runner(runner.RunnerOptions(path, int(context), 2, int(layers), kv_type, int(batch), 16))
    text = "".join(_said)
    offloaded = re.search(r"offloaded (\d+)/(\d+) layers to GPU", text)
    assert offloaded, text
    sizes = {
        what: sum(float(size) for size in re.findall(rf"Vulkan0\s+{what} buffer size =\s+([\d.]+) MiB", text)) * _MIB
        for what in ("model", "KV", "compute")
    }
    loaded.decode([BatchItem(0, 0, [1, 2, 3], 1)])
    print(json.dumps({"layers": int(offloaded[1]), "best": int(loaded.logits(0).argmax()), **sizes}))


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
