"""Who gets tokens in the next batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingle_daemon.engine.scheduler import RANK, Capacity, Runnable, Slice, plan
from ingle_daemon.protocol import Priority

quick = settings(deadline=None)


@dataclass
class Runner:
    """A sequence as the scheduler sees one."""

    id: int
    priority: Priority = "ask"
    pending: int = 1
    decoding: bool = True
    skipped: int = 0


def prefilling(number: int, priority: Priority = "ask", pending: int = 100, skipped: int = 0) -> Runner:
    return Runner(number, priority, pending, decoding=False, skipped=skipped)


@st.composite
def runnables(draw: st.DrawFn) -> list[Runner]:
    priorities: tuple[Priority, ...] = ("completion", "ask", "warm-up")
    made = []
    for number in range(draw(st.integers(0, 16))):
        decoding = draw(st.booleans())
        pending = draw(st.just(1) if decoding else st.integers(1, 600))
        made.append(
            Runner(number, draw(st.sampled_from(priorities)), pending, decoding, skipped=draw(st.integers(0, 10)))
        )
    return made


capacities = st.builds(
    lambda prefill, more, wide, patience: Capacity(prefill + more, prefill, wide, patience),
    st.integers(1, 256),
    st.integers(0, 16),
    st.booleans(),
    st.integers(1, 10),
)


def step(runners: list[Runner], capacity: Capacity) -> dict[int, int]:
    """One batch: what each sequence got. Counts who was passed over."""
    served = {piece.id: piece.tokens for piece in plan(list(runners), capacity)}
    for runner in runners:
        runner.skipped = 0 if runner.id in served else runner.skipped + 1
    return served


@quick
@given(runnables(), capacities)
def test_a_plan_serves_each_sequence_once_within_what_it_has_and_the_batch_holds(
    runners: list[Runner], capacity: Capacity
) -> None:
    served = plan(list(runners), capacity)
    by_id = {runner.id: runner for runner in runners}
    assert len({piece.id for piece in served}) == len(served)
    assert all(1 <= piece.tokens <= by_id[piece.id].pending for piece in served)
    assert sum(piece.tokens for piece in served) <= capacity.batch


@quick
@given(runnables(), capacities)
def test_prompts_never_get_more_than_their_share_of_the_batch(runners: list[Runner], capacity: Capacity) -> None:
    prompts = {runner.id for runner in runners if not runner.decoding}
    assert sum(piece.tokens for piece in plan(list(runners), capacity) if piece.id in prompts) <= capacity.prefill


@quick
@given(runnables(), capacities)
def test_somebody_of_the_best_rank_is_always_served(runners: list[Runner], capacity: Capacity) -> None:
    starved = [runner for runner in runners if runner.skipped >= capacity.patience]
    assume(runners and capacity.prefill > len(starved))
    served = {piece.id for piece in plan(list(runners), capacity)}
    best = min(RANK[runner.priority] for runner in runners)
    assert any(RANK[runner.priority] == best for runner in runners if runner.id in served)


@quick
@given(runnables(), capacities)
def test_lower_ranks_pause_unless_they_ride_along_or_were_passed_over(
    runners: list[Runner], capacity: Capacity
) -> None:
    by_id = {runner.id: runner for runner in runners}
    best = min((RANK[runner.priority] for runner in runners), default=0)
    for piece in plan(list(runners), capacity):
        runner = by_id[piece.id]
        if RANK[runner.priority] > best:
            rides_along = capacity.wide_is_cheap and runner.decoding
            assert rides_along or (runner.skipped >= capacity.patience and piece.tokens == 1)


@quick
@given(runnables(), capacities)
def test_within_a_rank_no_prompt_is_read_while_a_shorter_one_waits(runners: list[Runner], capacity: Capacity) -> None:
    for runner in runners:
        runner.skipped = 0
    served = {piece.id: piece.tokens for piece in plan(list(runners), capacity)}
    best = min((RANK[runner.priority] for runner in runners), default=0)
    prompts = [runner for runner in runners if RANK[runner.priority] == best and not runner.decoding]
    prompts.sort(key=lambda runner: (runner.pending, runner.id))
    waits = False
    for runner in prompts:
        assert not (waits and runner.id in served)
        waits = waits or served.get(runner.id, 0) < runner.pending


@quick
@given(runnables(), capacities)
def test_who_decodes_does_not_wait_for_a_prompt_of_the_same_rank(runners: list[Runner], capacity: Capacity) -> None:
    for runner in runners:
        runner.skipped = 0
    served = {piece.id for piece in plan(list(runners), capacity)}
    best = min((RANK[runner.priority] for runner in runners), default=0)
    decoding = [runner.id for runner in runners if RANK[runner.priority] == best and runner.decoding]
    assert served.issuperset(decoding[: capacity.batch])


def test_nothing_runnable_is_an_empty_batch() -> None:
    assert plan([], Capacity(256, 256)) == ()


def test_a_completion_pauses_an_answer_that_came_earlier() -> None:
    answer, completion = Runner(1), prefilling(2, "completion", pending=20)
    assert plan([answer, completion], Capacity(256, 256)) == (Slice(2, 20),)


def test_answers_go_on_when_the_completion_has_ended() -> None:
    assert plan([Runner(1), Runner(3)], Capacity(256, 256)) == (Slice(1, 1), Slice(3, 1))


def test_warm_up_runs_only_when_there_is_nothing_else() -> None:
    warm_up = prefilling(1, "warm-up")
    assert plan([warm_up, Runner(2)], Capacity(64, 64)) == (Slice(2, 1),)
    assert plan([warm_up], Capacity(64, 64)) == (Slice(1, 64),)


def test_a_short_question_is_read_before_a_document_that_came_earlier() -> None:
    runners: list[Runnable] = [prefilling(1, pending=6000), Runner(2), prefilling(3, pending=10)]
    assert plan(runners, Capacity(batch=64, prefill=32)) == (Slice(2, 1), Slice(3, 10), Slice(1, 22))


def test_short_questions_without_end_do_not_starve_a_document() -> None:
    document, got = prefilling(0, pending=6000), 0
    for number in range(1, 91):
        served = step([document, prefilling(number, pending=40)], Capacity(32, 32, patience=8))
        got += served.get(document.id, 0)
    assert got == 10 * 32


def test_what_the_first_prompt_leaves_the_second_gets() -> None:
    runners: list[Runnable] = [prefilling(1, pending=5), prefilling(2, pending=100)]
    assert plan(runners, Capacity(batch=32, prefill=32)) == (Slice(1, 5), Slice(2, 27))


def test_where_a_wide_batch_is_cheap_paused_answers_ride_along_but_prompts_wait() -> None:
    runners: list[Runnable] = [Runner(1), prefilling(2), Runner(3, "completion")]
    assert plan(runners, Capacity(64, 64, wide_is_cheap=True)) == (Slice(3, 1), Slice(1, 1))


def decoding_stream(number: int) -> Runner:
    return Runner(number, "completion")


def prefilling_stream(number: int) -> Runner:
    return prefilling(number, "completion", pending=10_000)


@pytest.mark.parametrize("patience", [1, 8])
@pytest.mark.parametrize(
    ("arriving", "batch", "prefill"),
    [
        pytest.param(decoding_stream, 256, 256, id="decoding"),
        pytest.param(prefilling_stream, 256, 240, id="prefilling with a share kept for decoding"),
        pytest.param(prefilling_stream, 256, 256, id="prefilling with the whole batch"),
    ],
)
def test_completions_without_end_do_not_starve_an_answer(
    arriving: Callable[[int], Runner], batch: int, prefill: int, patience: int
) -> None:
    answer, steps, got, gap, longest_gap = Runner(0), 200, 0, 0, 0
    for number in range(1, steps + 1):
        served = step([answer, arriving(number)], Capacity(batch, prefill, patience=patience))
        got += served.get(answer.id, 0)
        gap = 0 if answer.id in served else gap + 1
        longest_gap = max(longest_gap, gap)
    assert got >= steps // (patience + 1)
    assert longest_gap == patience


def test_an_answer_and_a_warm_up_both_get_their_turn() -> None:
    answer, warm_up, got = Runner(1), prefilling(2, "warm-up"), {0: 0, 1: 0, 2: 0}
    for _ in range(90):
        for number, count in step([answer, warm_up, Runner(0, "completion")], Capacity(256, 256, patience=8)).items():
            got[number] += count
    assert got == {0: 90, 1: 10, 2: 10}
