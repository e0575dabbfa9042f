"""What a loaded model takes, counted and as it is: llama.cpp's own figures for the real shape of every model of the
catalog, and the memory of a process that has the starter loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import gguf_files
import measured_load
from ingle_daemon.models import catalog, gguf
from ingle_daemon.models.memory import Kv, Machine, Needs, needs_of
from ingle_daemon.models.shape import Shape
from support import starter_model

KNOWN = [entry for entry in catalog.shipped().entries if entry.architecture]
NOWHERE = Machine(ram_free_bytes=0, ram_total_bytes=0)
LOADS: tuple[tuple[int, int, Kv], ...] = ((8192, 256, "q8_0"), (2048, 256, "q8_0"), (8192, 64, "q8_0"))
PLAIN: tuple[tuple[int, int, Kv], ...] = ((8192, 256, "f16"), (2048, 256, "f16"))


class Measured(NamedTuple):
    """Bytes, as llama.cpp says, and by how many the process grew."""

    kv: float
    compute: float
    output: float
    weights: float
    grown: float


def measured(mode: str, path: Path, *loads: tuple[int, int, Kv]) -> list[Measured]:
    jobs = [str(word) for load in loads for word in (path, *load)]
    command = [sys.executable, measured_load.__file__, mode, *jobs]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [Measured(**found) for found in json.loads(done.stdout)]


def counted(shape: Shape, context: int, batch: int, kv_type: Kv) -> Needs:
    return needs_of(shape, NOWHERE, 0, context, kv_type, batch, flash=kv_type == "q8_0")


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.name)
def test_llama_cpp_takes_what_is_counted(entry: catalog.Entry, tmp_path: Path) -> None:
    """The cache and the weights to the byte, the whole within 5 % and 20 MB."""
    assert entry.architecture
    path = gguf_files.write(tmp_path / "model.gguf", entry.architecture, entry.quant.name)
    shape = gguf.check(path).shape
    assert shape
    for load, found in zip((*LOADS, *PLAIN), measured("dry", path, *LOADS, *PLAIN), strict=True):
        needs = counted(shape, *load)
        assert needs.kv_ram == pytest.approx(found.kv, rel=1e-3)
        assert needs.weights_ram == found.weights
        buffers = found.compute + found.output
        assert needs.compute_ram == pytest.approx(buffers, rel=0.13 if load in PLAIN else 0.1, abs=20_000_000)
        assert needs.ram == pytest.approx(found.kv + found.weights + buffers, rel=0.05)


@pytest.mark.model
def test_the_starter_takes_what_is_counted() -> None:
    """The process grows by its cache: llama.cpp clears it, so that all of it is really there."""
    path = starter_model()
    shape = gguf.check(path).shape
    assert shape
    ((small,), (large,)) = (measured("real", path, (context, 256, "q8_0")) for context in (2048, 8192))
    needs = [counted(shape, context, 256, "q8_0") for context in (2048, 8192)]
    assert large.grown - small.grown == pytest.approx(needs[1].kv_ram - needs[0].kv_ram, rel=0.1)
    for found, need in zip((small, large), needs, strict=True):
        assert need.kv_ram == pytest.approx(found.kv, rel=1e-3)
        assert need.compute_ram == pytest.approx(found.compute + found.output, rel=0.1)
        assert need.weights_ram == found.weights
