"""Lent suffix cells: which block is chosen, and what becomes of prompts and answers on the real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import SLOTS, Bench
from ingle_daemon.engine.frames import OWN
from ingle_daemon.engine.refresh import PAUSE_S
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.splice import MAX_DRIFT, Block, find_block

SUF, MID = 9001, 9002
TOKENS = st.integers(0, 5)


def numbered(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


PREFIX = numbered(0, 300)
SUFFIX = [SUF, *numbered(1000, 200)]


def prompt(prefix: list[int], suffix: list[int]) -> tuple[list[int], int]:
    return [*prefix, *suffix, MID], len(prefix)


def test_typing_finds_the_whole_suffix() -> None:
    old, _ = prompt(PREFIX, SUFFIX)
    new, joint = prompt([*PREFIX, 501, 502], SUFFIX)
    assert find_block([(3, [*old, 77, 78])], new, joint) == Block(slot=3, start=302, at=304, length=199, drift=2)


def test_deleting_and_typing_both_count_as_drift() -> None:
    old, _ = prompt(PREFIX, SUFFIX)
    new, joint = prompt([*PREFIX[:-3], 501], SUFFIX)
    assert find_block([(0, old)], new, joint) == Block(slot=0, start=302, at=300, length=199, drift=4)


def test_a_bracket_closed_by_the_editor_is_evaluated_and_the_rest_is_lent() -> None:
    old, _ = prompt(PREFIX, SUFFIX)
    new, joint = prompt([*PREFIX, 501], [SUF, 502, *SUFFIX[1:]])
    assert find_block([(0, old)], new, joint) == Block(slot=0, start=301, at=303, length=200, drift=4)


def test_a_line_stepped_over_takes_its_place_in_the_prefix() -> None:
    old, _ = prompt(PREFIX, SUFFIX)
    new, joint = prompt([*PREFIX, *SUFFIX[1:11]], [SUF, *SUFFIX[11:]])
    assert find_block([(0, old)], new, joint) == Block(slot=0, start=312, at=312, length=189, drift=22)


def test_the_suffix_of_another_place_is_not_lent() -> None:
    old, _ = prompt([*PREFIX[:200], *numbered(5000, 100)], SUFFIX)
    new, joint = prompt(PREFIX, SUFFIX)
    assert find_block([(0, old)], new, joint) is None


def test_of_equals_the_least_drifted_is_lent() -> None:
    older, _ = prompt(PREFIX, SUFFIX)
    newer, _ = prompt([*PREFIX, 501], SUFFIX)
    new, joint = prompt([*PREFIX, 501, 502], SUFFIX)
    block = find_block([(0, older), (1, newer)], new, joint)
    assert block is not None
    assert (block.slot, block.drift) == (1, 1)


@given(
    st.lists(TOKENS, max_size=400),
    st.lists(TOKENS, max_size=90),
    st.lists(TOKENS, max_size=90),
    st.lists(TOKENS, min_size=1, max_size=400),
)
def test_a_block_is_what_it_says(head: list[int], old_tail: list[int], new_tail: list[int], suffix: list[int]) -> None:
    old, _ = prompt([*head, *old_tail], suffix)
    new, joint = prompt([*head, *new_tail], suffix)
    block = find_block([(0, old)], new, joint)
    if block is None:
        return
    assert old[block.start : block.start + block.length] == new[block.at : block.at + block.length]
    assert joint <= block.at
    assert block.at + block.length < len(new), "the last token is to be evaluated"
    assert block.drift <= MAX_DRIFT
    # llama.cpp wants the next position to be one more than the highest.
    assert block.start + block.length >= block.at


# --- on the real model ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def typed(code: list[int]) -> list[tuple[list[int], int]]:
    """A prompt with a suffix of 140 tokens, and the same as somebody types ten more."""
    suffix = [5, *code[600:740]]
    return [([*code[400 : 500 + count], *suffix, 7], 100 + count) for count in range(11)]


@pytest.mark.model
def test_a_typed_token_costs_itself_and_three_more(runner: Runner, typed: list[tuple[list[int], int]]) -> None:
    bench = Bench(runner)
    costs = []
    for number, (tokens, joint) in enumerate(typed):
        bench.answer(number, tokens, joint)
        costs.append(bench.timings[number].prompt_n)
    assert costs == [len(typed[0][0]), *[4] * 10]
    assert bench.timings[10].splice_n == 139


@pytest.mark.model
def test_the_same_prompt_again_is_lent_the_same(runner: Runner, typed: list[tuple[list[int], int]]) -> None:
    bench = Bench(runner)
    bench.answer(0, *typed[0])
    once = bench.answer(1, *typed[3])
    assert bench.answer(2, *typed[3]) == once
    assert (bench.timings[2].prompt_n, bench.timings[2].splice_n) == (1, 139)


@pytest.mark.model
def test_whoever_lent_stays_exact(runner: Runner, typed: list[tuple[list[int], int]]) -> None:
    (first, joint), (last, last_joint) = typed[0], typed[-1]
    exact = Bench(runner).answer(0, first)
    after_prefix = Bench(runner).answer(0, last[:last_joint])
    bench = Bench(runner)
    assert bench.answer(0, first, joint) == exact
    for number, (tokens, at) in enumerate(typed[1:], 1):
        bench.answer(number, tokens, at)
    assert bench.answer(20, first, joint) == exact
    assert bench.timings[20].prompt_n == 1
    assert bench.answer(21, last[:last_joint]) == after_prefix
    assert bench.timings[21].prompt_n == 1


@pytest.mark.model
def test_the_suffix_is_evaluated_exactly_once_typing_pauses(runner: Runner, typed: list[tuple[list[int], int]]) -> None:
    tokens, joint = typed[-1]
    exact = Bench(runner).answer(0, tokens)
    bench = Bench(runner)
    bench.answer(0, *typed[0])
    bench.now = 5.0
    bench.answer(5, tokens, joint)
    assert bench.timings[5].splice_n
    assert bench.engine.rest() == pytest.approx(PAUSE_S)
    assert not bench.engine.busy
    bench.now += PAUSE_S
    assert bench.engine.rest() == 0
    bench.finish()
    assert bench.timings[OWN].prompt_n > 139
    assert bench.engine.rest() is None
    assert bench.answer(6, tokens, joint) == exact
    assert (bench.timings[6].prompt_n, bench.timings[6].splice_n) == (1, 0)


@pytest.mark.model
def test_typing_on_does_not_throw_a_refresh_away(runner: Runner, typed: list[tuple[list[int], int]]) -> None:
    bench = Bench(runner)
    bench.answer(0, *typed[0])
    bench.answer(1, *typed[1])
    bench.now += PAUSE_S + 1
    bench.engine.rest()
    bench.engine.step()
    assert bench.engine.busy, "the refresh takes more than one step"
    bench.submit(2, *typed[2][:1], "completion", typed[2][1])
    while 2 not in bench.timings:
        bench.engine.step()
    assert bench.timings[2].prompt_n == 4, "on the old suffix"
    bench.finish()
    assert bench.timings[OWN].prompt_n > 139
    bench.answer(3, *typed[3])
    assert bench.timings[3].prompt_n == 4, "on the newer one"


@pytest.mark.model
def test_a_completion_elsewhere_ends_a_refresh(
    runner: Runner, typed: list[tuple[list[int], int]], code: list[int]
) -> None:
    bench = Bench(runner)
    bench.answer(0, *typed[0])
    bench.answer(1, *typed[1])
    bench.now += PAUSE_S + 1
    bench.engine.rest()
    bench.answer(2, code[900:1000])
    assert OWN in bench.timings
    assert bench.timings[OWN].prompt_n < 139


@pytest.mark.model
def test_a_joined_answer_goes_on_after_the_cache_was_compacted(
    runner: Runner, typed: list[tuple[list[int], int]]
) -> None:
    whole = Bench(runner)
    whole.answer(0, *typed[0])
    whole.answer(1, *typed[3])
    bench = Bench(runner)
    bench.answer(0, *typed[0])
    bench.submit(1, *typed[3][:1], "completion", typed[3][1])
    while len(bench.answers[1]) < 3:
        bench.engine.step()
    bench.engine._compact(keep_idle=True)
    bench.finish()
    assert bench.answers[1] == whole.answers[1]
    bench.answer(2, *typed[4])
    assert bench.timings[2].prompt_n <= 8, "the lender was put back; what was typed since is evaluated again"


@pytest.mark.model
def test_an_f16_cache_lends_and_comes_back_from_the_shelf_too(
    starter: Path, typed: list[tuple[list[int], int]], code: list[int]
) -> None:
    """It stands otherwise in memory: without fused attention the values are transposed."""
    small = Runner(RunnerOptions(str(starter), 512, 2, 0, "f16", 256, SLOTS))
    try:
        bench = Bench(small)
        first = bench.answer(0, *typed[0])
        bench.answer(1, *typed[3])
        assert bench.timings[1].splice_n == 139
        bench.answer(2, code[900:1380])  # takes all of its cells
        assert bench.answer(3, *typed[0]) == first
        assert bench.timings[3].shelf_n >= 239
    finally:
        small.close()


@pytest.mark.model
def test_a_suffix_is_lent_from_the_shelf(starter: Path, code: list[int]) -> None:
    """Near a file's beginning the prefix alone is not worth bringing back; what follows the cursor is."""
    small = Runner(RunnerOptions(str(starter), 512, 2, -1, "auto", 64, SLOTS))
    suffix = [5, *code[600:740]]
    try:
        bench = Bench(small)
        bench.answer(0, [*code[400:430], *suffix, 7], 30)
        bench.answer(1, code[1000:1480])  # takes its cells: it goes to the shelf
        typed = bench.answer(2, [*code[400:432], *suffix, 7], 32)
        timings = bench.timings[2]
        assert (timings.splice_n, timings.prompt_n) == (139, 35), "the prefix is evaluated"
        kept = Bench(small)
        kept.answer(0, [*code[400:430], *suffix, 7], 30)
        assert kept.answer(2, [*code[400:432], *suffix, 7], 32) == typed, "as if it had stayed"
    finally:
        small.close()
