"""When the model leaves a GPU's memory to others, and comes back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.backends.pressure import LOW, RESERVE, Pressure, Sample, Verdict

MIB = 1 << 20
TOTAL = 4096 * MIB
OURS = 2200 * MIB
DESKTOP = 400 * MIB


def sample(at: float, others: int, *, ours: int = OURS, busy: bool = False) -> Sample:
    return Sample(at, max(TOTAL - ours - others, 0), ours, others, busy)


def verdicts(pressure: Pressure, samples: Iterable[Sample]) -> list[Verdict]:
    return [pressure.judge(each) for each in samples]


def yielded() -> Pressure:
    """A model that has left for a game, at 15 s."""
    pressure = Pressure()
    found = verdicts(pressure, [sample(0, DESKTOP), *(sample(at, 1800 * MIB) for at in (5, 10, 15))])
    assert found == ["stay", "stay", "stay", "yield"]
    return pressure


def test_a_model_yields_when_others_take_what_is_left_and_it_stays_so() -> None:
    assert yielded().away


def test_memory_that_is_taken_for_a_moment_only_disturbs_nobody() -> None:
    pressure = Pressure()
    wave = [sample(at, 1800 * MIB if at % 10 else DESKTOP) for at in range(0, 300, 5)]
    assert set(verdicts(pressure, wave)) == {"stay"}


def test_a_gpu_that_was_full_from_the_start_is_the_plans_matter() -> None:
    pressure = Pressure()
    full = TOTAL - OURS - LOW // 2
    assert set(verdicts(pressure, [sample(at, full) for at in range(0, 300, 5)])) == {"stay"}


def test_what_others_gave_back_meanwhile_counts_when_they_take_it_again() -> None:
    pressure = Pressure()
    full = TOTAL - OURS - LOW // 2
    found = verdicts(pressure, [sample(0, full), sample(5, DESKTOP), *(sample(at, full) for at in (10, 15, 20))])
    assert found == ["stay", "stay", "stay", "stay", "yield"]


def test_a_running_request_is_never_disturbed_and_then_the_model_goes_at_once() -> None:
    pressure = Pressure()
    pressure.judge(sample(0, DESKTOP))
    assert set(verdicts(pressure, [sample(at, 1800 * MIB, busy=True) for at in range(5, 100, 5)])) == {"stay"}
    assert pressure.judge(sample(100, 1800 * MIB)) == "yield"


def test_it_comes_back_when_there_has_been_room_for_it_for_a_while() -> None:
    pressure = yielded()
    game = [sample(at, 3000 * MIB, ours=0) for at in (20, 25)]
    calm = [sample(at, DESKTOP, ours=0) for at in (30, 45, 60)]
    assert verdicts(pressure, [*game, *calm]) == ["stay", "stay", "stay", "stay", "return"]
    assert not pressure.away


def test_it_does_not_come_back_into_a_gap() -> None:
    pressure = yielded()
    wave = [sample(at, 3000 * MIB if at % 20 == 0 else DESKTOP, ours=0) for at in range(20, 300, 5)]
    assert set(verdicts(pressure, wave)) == {"stay"}


def test_what_is_loaded_beside_the_others_meanwhile_counts_as_room_and_is_not_disturbed_while_it_answers() -> None:
    pressure = yielded()
    small = 600 * MIB
    others = TOTAL - OURS - RESERVE  # the whole model would fit, if this one left
    waiting = [sample(at, others, ours=small, busy=True) for at in (20, 30, 60)]
    assert verdicts(pressure, [*waiting, sample(61, others, ours=small)]) == ["stay", "stay", "stay", "return"]


def test_what_came_back_is_judged_by_what_others_hold_then() -> None:
    pressure = yielded()
    verdicts(pressure, [sample(at, DESKTOP, ours=0) for at in (20, 60)])
    assert set(verdicts(pressure, [sample(at, DESKTOP) for at in range(70, 200, 5)])) == {"stay"}
    assert verdicts(pressure, [sample(at, 1800 * MIB) for at in (200, 210)]) == ["stay", "yield"]


@given(st.lists(st.tuples(st.integers(0, 4096), st.booleans()), max_size=80))
def test_whatever_others_do_it_goes_and_comes_by_turns_never_while_it_answers(steps: list[tuple[int, bool]]) -> None:
    pressure, went = Pressure(), []
    for number, (others, busy) in enumerate(steps):
        ours = 0 if pressure.away else OURS
        verdict = pressure.judge(sample(number * 5, others * MIB, ours=ours, busy=busy))
        if verdict != "stay":
            assert not busy
            went.append((number * 5, verdict))
    assert [verdict for _, verdict in went] == (["yield", "return"] * len(went))[: len(went)]
    assert all(later - earlier >= 10 for (earlier, _), (later, _) in pairwise(went))


@pytest.mark.parametrize("ours", [0, OURS])
def test_a_model_loaded_anew_by_hand_is_at_home_again(ours: int) -> None:
    pressure = yielded()
    pressure.forget()
    assert not pressure.away
    assert pressure.judge(sample(500, 1800 * MIB, ours=ours)) == "stay"
