"""A long step ends when somebody comes or goes whom it would hold up, and what it lost is evaluated again."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from engines import Bench
from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.interrupt import Interrupts
from ingle_daemon.engine.pace import LONG_S, TARGET_S, Pace
from ingle_daemon.engine.runner import Runner
from ingle_daemon.protocol import Priority


class Aborts(list[bool]):
    """What the runner was told, in order."""


@pytest.fixture
def aborts() -> Aborts:
    return Aborts()


@pytest.fixture
def interrupts(aborts: Aborts) -> Interrupts:
    return Interrupts(aborts.append)


@pytest.mark.parametrize(
    ("priority", "interrupted"), [("completion", True), ("ask", True), ("warm-up", False)], ids=str
)
def test_who_comes_interrupts_a_long_step_unless_it_is_less_urgent(
    interrupts: Interrupts, aborts: Aborts, priority: Priority, interrupted: bool
) -> None:
    assert interrupts.begin("ask", frozenset({1}))
    interrupts.coming(2, priority)
    assert aborts == [True] * interrupted


def test_who_leaves_interrupts_the_step_that_is_for_it(interrupts: Interrupts, aborts: Aborts) -> None:
    assert interrupts.begin("ask", frozenset({1}))
    interrupts.leaving(2)
    assert aborts == []
    interrupts.leaving(1)
    assert aborts == [True]


def test_the_next_step_is_not_aborted_for_the_last_one(interrupts: Interrupts, aborts: Aborts) -> None:
    assert interrupts.begin("ask", frozenset({1}))
    interrupts.coming(2, "completion")
    interrupts.end()
    assert aborts == [True, False]
    interrupts.coming(3, "completion")
    assert aborts == [True, False], "no long step is under way"


def test_no_step_is_long_from_the_word_that_somebody_comes_until_it_is_there(interrupts: Interrupts) -> None:
    interrupts.coming(2, "completion")
    assert not interrupts.begin("ask", frozenset({1}))
    interrupts.arrived(2)
    assert interrupts.begin("ask", frozenset({1}))


def test_no_step_is_long_from_the_word_that_it_is_cancelled_until_it_is(interrupts: Interrupts) -> None:
    interrupts.leaving(1)
    assert not interrupts.begin("ask", frozenset({1, 2}))
    assert interrupts.begin("ask", frozenset({2}))
    interrupts.end()
    interrupts.left(1)
    assert interrupts.begin("ask", frozenset({1, 2}))


def test_a_request_that_is_submitted_may_already_be_on_its_way_out(interrupts: Interrupts) -> None:
    interrupts.coming(1, "ask")
    interrupts.leaving(1)
    interrupts.arrived(1)
    assert not interrupts.begin("ask", frozenset({1})), "the cancel is not obeyed yet"
    interrupts.left(1)
    assert interrupts.begin("ask", frozenset({1}))


def test_steps_are_short_after_an_interruption_and_grow_again() -> None:
    pace = Pace(256)
    at_first = pace.may_be_long
    pace.learn(64, 64 * 0.005)
    assert (at_first, pace.may_be_long) == (False, True), "at first nobody knows how long that is"
    assert pace.long_slice == round(LONG_S / 0.005)
    pace.interrupted()
    assert (pace.may_be_long, pace.long_slice) == (False, round(TARGET_S / 0.005))
    assert pace.long_slice == pace.slice
    for _ in range(5):
        pace.learn(64, 64 * 0.005)
    assert pace.slice < pace.long_slice < round(LONG_S / 0.005)
    pace.learn(64, 64 * 0.005)
    assert pace.long_slice == round(LONG_S / 0.005)


# --- on the real model ---


def fast_clock() -> Callable[[], float]:
    """By which this machine reads as many tokens in a long step as a batch holds, whatever else it does."""
    ticks = itertools.count(step=0.01)
    return lambda: float(next(ticks))


@pytest.mark.model
def test_an_interrupted_step_evaluates_nothing_and_the_answer_is_the_same(runner: Runner, code: list[int]) -> None:
    prompt = code[:700]
    bench = Bench(runner)
    bench.submit(0, prompt, "ask")
    bench.finish()
    alone = bench.answers[0]

    bench = Bench(runner, clock=fast_clock())
    bench.submit(1, prompt, "ask")
    bench.engine.step()  # learns the pace
    interrupted = 0
    while 1 not in bench.timings:
        before = bench.table.used
        runner.abort(True)  # at the first operation, as if somebody had come by then
        bench.engine.step()
        runner.abort(False)
        interrupted += bench.table.used == before
        bench.engine.step()
    assert interrupted > 3
    assert bench.answers[1] == alone


@pytest.mark.model
def test_a_completion_gets_in_while_a_long_step_is_under_way(runner: Runner, code: list[int]) -> None:
    bench = Bench(runner)
    bench.answer(0, code[:20])
    alone = bench.answers[0]
    bench = Bench(runner, clock=fast_clock())
    bench.submit(1, code[200:1800], "ask")
    bench.engine.step()
    in_step = threading.Event()
    really_decode = runner.decode
    widths: list[int] = []

    def decode(items: list[BatchItem]) -> None:
        widths.append(sum(len(item.tokens) for item in items))
        in_step.set()
        really_decode(items)

    def come() -> None:
        in_step.wait()
        bench.engine.interrupts.coming(2, "completion")

    editor = threading.Thread(target=come)
    editor.start()
    known = bench.table.used
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "decode", decode)
        bench.engine.step()
    editor.join()
    assert widths[0] > 64, "a long one"
    assert bench.table.used == known, "it was not waited for"
    bench.submit(2, code[:20], "completion")
    while 2 not in bench.timings:
        bench.engine.step()
    assert 1 not in bench.timings
    assert bench.answers[2] == alone
    bench.engine.cancel(1)
