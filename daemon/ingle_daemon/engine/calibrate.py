"""What this machine does with a batch, measured once when a model is loaded. Decides nothing by a backend's name.

On a GPU several tokens in one step cost hardly more than one, because reading the weights is what takes the time; on a
CPU each costs almost a step of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.draft import LONGEST, StepTimes
from ingle_daemon.engine.runner import Runner

__all__ = ["infill_budget", "prefill_rate", "step_times"]

_LONG = 64
_LINE = 12
"""Tokens of a line of code, which is what a completion mostly is."""
_SMALLEST_INFILL, _LARGEST_INFILL = 512, 4096
"""Less has no room for the function around the cursor; more gains little at this size of model."""
_TRIES = 3
"""The first step reads the weights from disk, and the first wide one may have to build what the others reuse."""


def step_times(runner: Runner, clock: Callable[[], float] = time.perf_counter) -> StepTimes:
    """What a token costs alone and in company, after an empty prompt. Leaves the cache empty; evaluates 30 tokens."""
    pairs = [(_step(runner, 1, clock), _step(runner, LONGEST + 1, clock)) for _ in range(_TRIES)]
    runner.clear()
    single, wide = (min(times) for times in zip(*pairs, strict=True))
    return StepTimes.measured(single, wide, LONGEST + 1)


def prefill_rate(runner: Runner, clock: Callable[[], float] = time.perf_counter) -> float:
    """Tokens of a prompt evaluated a second, at its beginning. Leaves the cache empty; evaluates 64 tokens."""
    width = min(_LONG, runner.batch)
    rate: float = width / _step(runner, width, clock)
    runner.clear()
    return rate


def infill_budget(prefill: float, decode: float, seconds: float) -> int:
    """Tokens of a completion's prompt, so that the first one in a file takes `seconds`, a line of answer included.

    `prefill` and `decode` are in tokens a second. Only the first completion in a file pays for all of its prompt; later
    ones evaluate what was typed.
    """
    for_prompt = max(seconds - _LINE / decode, 0.0)
    return int(min(max(prefill * for_prompt, _SMALLEST_INFILL), _LARGEST_INFILL))


def _step(runner: Runner, width: int, clock: Callable[[], float]) -> float:
    """Seconds for one batch of `width` tokens of one sequence."""
    runner.clear()
    token = max(runner.vocab.bos, 0)
    begin = clock()
    runner.decode([BatchItem(0, 0, [token] * width, 1)])
    runner.logits(0)  # a GPU has not finished before somebody looks
    return clock() - begin
