"""How long a completion's prompt may be, from what was measured; and that the measuring leaves nothing behind."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ingle_daemon.engine.calibrate import infill_budget, prefill_rate, step_times
from ingle_daemon.engine.runner import Runner, RunnerOptions


@pytest.mark.parametrize(
    ("prefill", "decode", "seconds", "tokens"),
    [
        (300, 48, 4.0, 1125),
        (300, 12, 4.0, 900),  # a line takes a second of the four
        (300, 12, 8.0, 2100),
        (300, 1, 4.0, 512),  # the line alone takes too long: the least that is of use
        (20, 100, 4.0, 512),
        (9000, 100, 4.0, 4096),
    ],
)
def test_the_prompt_has_what_the_answer_leaves_of_the_time(
    prefill: float, decode: float, seconds: float, tokens: int
) -> None:
    assert infill_budget(prefill, decode, seconds) == tokens


@pytest.mark.model
def test_rates_are_tokens_a_second_of_the_real_model(starter: Path) -> None:
    runner = Runner(RunnerOptions(str(starter), 1024, 2, -1, "auto", 256, 4))
    ticks = itertools.count(step=2.0)  # every step takes two seconds, as this clock has it
    times = step_times(runner, lambda: next(ticks))
    assert (times.single, times.wide(9), times.wide_is_cheap) == (2.0, 2.0, True)
    assert prefill_rate(runner, lambda: next(ticks)) == 32.0
    runner.close()
