"""Cancelling frees the engine before its next step, in every phase, and leaves nothing behind."""

from __future__ import annotations

import os
import random

import psutil
import pytest

from engines import Bench
from ingle_daemon.engine.runner import Runner

pytestmark = pytest.mark.model

REQUESTS = 10_000
STEPPED = 100
"""One request in so many is let into the model before it is cancelled; a step takes a hundred times as long."""
GROWTH = 8 << 20
"""Bytes: a leak of one request's tokens alone would be several times as much."""


@pytest.mark.parametrize(("steps", "generated"), [(0, 0), (1, 0), (4, 1)], ids=["waiting", "prefill", "decode"])
def test_a_cancelled_request_takes_no_further_step(runner: Runner, code: list[int], steps: int, generated: int) -> None:
    bench = Bench(runner)
    bench.submit(0, code[: 100 if steps < 4 else 64], "ask", answer=50)
    for _ in range(steps):
        bench.engine.step()
    assert (len(bench.answers[0]) > 0) == bool(generated)
    bench.engine.cancel(0)
    assert not bench.engine.busy
    assert bench.timings[0].predicted_n == len(bench.answers[0])
    assert bench.timings[0].prompt_n == (0, 64, 0, 0, 64)[steps]


def test_ten_thousand_cancelled_requests_leave_the_memory_as_it_was(runner: Runner, code: list[int]) -> None:
    bench = Bench(runner, shelf_bytes=1 << 22)
    rng = random.Random(0)
    process = psutil.Process(os.getpid())
    baseline = 0
    for number in range(REQUESTS):
        if number == REQUESTS // 2:  # by now the shelf is full, every slot was used, and the heap has settled
            baseline = process.memory_info().rss
        start = rng.randrange(len(code) - 300)
        bench.submit(number, code[start : start + rng.randrange(2, 300)], rng.choice(("completion", "ask")))
        if number % STEPPED == 0:
            bench.engine.step()
        bench.engine.cancel(number)
        assert not bench.engine.busy
        bench.answers.clear()
        bench.timings.clear()
    assert process.memory_info().rss - baseline < GROWTH
