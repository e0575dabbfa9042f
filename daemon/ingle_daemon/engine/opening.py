"""Load a model so that a token's logits do not depend on what stands beside it in a batch, where that can be had.

With some quantizations llama.cpp multiplies four rows and more by other means than one: k-quants are unpacked into
tiles, or lie repacked in memory, and the activations are rounded otherwise. What an answer says then depends on how its
prompt was cut into batches and on what else ran. That is tried with every model when it is loaded, not known by name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.runner import Runner, RunnerOptions

__all__ = ["is_steady", "open_model"]

_TEXT = """
def load(path: str, limit: int = 100) -> dict[str, int]:
    with open(path, encoding="utf-8") as file:
        rows = [line.split(",") for line in file if line.strip()]
    return {name: int(count) for name, count in rows[:limit]}
"""
_FEWEST, _MOST, _LONG_S = 12, 64, 0.2
"""Tokens of it that are tried: as many as a fifth of a second is enough for, one at a time, within these bounds. The
kernels for many rows take over at four to twelve, and with some weights only one token in ten shows the difference."""


def open_model(options: RunnerOptions, *, exact: bool) -> Runner:
    """The loaded model. `exact` gives up llama.cpp's fastest kernels where answers are not exact with them.

    Without it answers are exact where that costs nothing. `Runner.exact` tells whether they are. Raises what Runner
    raises. With `exact` only the first model of a process counts: llama.cpp reads its environment once.
    """
    if exact:
        os.environ["GGML_CPU_TILED_MM"] = "0"
    runner = Runner(options)
    if runner.exact and exact and not is_steady(runner):
        runner.close()
        runner = Runner(replace(options, repack=False))
    runner.exact = runner.exact and is_steady(runner)
    return runner


def is_steady(runner: Runner, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Whether tokens' logits are the same to the bit alone and beside others. Leaves the cache empty."""
    tokens = runner.vocab.tokenize(_TEXT, special=False)[: min(_MOST, runner.batch)]
    alone: list[npt.NDArray[np.float32]] = []
    runner.clear()
    begin = clock()
    while len(alone) < len(tokens) and (len(alone) < _FEWEST or clock() < begin + _LONG_S):
        runner.decode([BatchItem(0, len(alone), tokens[len(alone) : len(alone) + 1], 1)])
        alone.append(runner.logits(0).copy())
    runner.clear()
    runner.decode([BatchItem(0, 0, tokens[: len(alone)], len(alone))])
    steady = all(np.array_equal(row, runner.logits(output)) for output, row in enumerate(alone))
    runner.clear()
    return steady
