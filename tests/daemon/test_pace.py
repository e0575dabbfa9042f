"""The slice of prefill that makes a step of a tenth of a second."""

from __future__ import annotations

from ingle_daemon.engine.pace import TARGET_S, Pace


def test_it_converges_to_a_step_of_the_target_length() -> None:
    pace = Pace(256)
    for _ in range(30):
        pace.learn(pace.slice, pace.slice * 0.002)
    assert abs(pace.slice * 0.002 - TARGET_S) < 0.01


def test_it_stays_within_its_bounds() -> None:
    fast, slow, small = Pace(256), Pace(256), Pace(8)
    for _ in range(30):
        fast.learn(fast.slice, 0.0001)
        slow.learn(slow.slice, 10)
    assert (fast.slice, slow.slice, small.slice) == (256, 16, 8)


def test_a_step_of_few_tokens_teaches_nothing() -> None:
    pace = Pace(256)
    before = pace.slice
    pace.learn(1, 5.0)
    assert pace.slice == before
