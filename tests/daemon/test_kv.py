"""The KV table against a naive cache that obeys its edits, and its choices one by one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ingle_daemon.engine.kv import Clear, Copy, Edit, KvTable, Truncate
from ingle_daemon.engine.tokens import common_prefix

SLOTS = 3


@dataclass(frozen=True)
class Wanted:
    """A request: the first `keep` tokens of what slot `start` holds, if any, then `end`."""

    start: int | None
    keep: int
    end: list[int]
    headroom: int


WANTED = st.builds(
    Wanted,
    start=st.one_of(st.none(), st.integers(0, SLOTS - 1)),
    keep=st.integers(0, 20),
    end=st.lists(st.integers(0, 1), max_size=10),
    headroom=st.integers(0, 6),
)


class OutOfCells(Exception):
    """The cache was asked for more than it has."""


class NaiveCache:
    """What llama.cpp keeps: cells, each with a position, a token and the slots that share it."""

    def __init__(self, cells: int) -> None:
        self.size = cells
        self.cells: list[tuple[int, int, set[int]]] = []

    def tokens(self, slot: int) -> list[int]:
        held = sorted((position, token) for position, token, owners in self.cells if slot in owners)
        assert [position for position, _ in held] == list(range(len(held))), "positions without gaps, none twice"
        return [token for _, token in held]

    def decode(self, slot: int, tokens: list[int]) -> None:
        if len(self.cells) + len(tokens) > self.size:
            raise OutOfCells
        begin = len(self.tokens(slot))
        self.cells += [(position, token, {slot}) for position, token in enumerate(tokens, begin)]

    def apply(self, edits: tuple[Edit, ...]) -> None:
        for edit in edits:
            if isinstance(edit, Copy):
                for position, _, owners in self.cells:
                    if edit.source in owners and edit.start <= position < edit.stop:
                        owners.add(edit.target)
            else:
                begin = edit.length if isinstance(edit, Truncate) else 0
                for position, _, owners in self.cells:
                    if position >= begin:
                        owners.discard(edit.slot)
        self.cells = [cell for cell in self.cells if cell[2]]

    def occupied(self, busy: set[int], source: int | None = None, length: int = 0) -> int:
        """Cells that stay when all idle slots but the first `length` tokens of `source` are dropped."""
        return sum(1 for position, _, owners in self.cells if owners & busy or (source in owners and position < length))


def naive_prefix(a: list[int], b: list[int]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))


class KvMachine(RuleBasedStateMachine):
    """Requests come, grow and go; the table plans, the naive cache obeys."""

    @initialize(cells=st.integers(6, 24))
    def make(self, cells: int) -> None:
        self.table = KvTable(SLOTS, cells)
        self.cache = NaiveCache(cells)
        self.todo: dict[int, list[int]] = {}  # of every busy slot: prompt tokens not evaluated yet

    def apply(self, edits: tuple[Edit, ...], mine: int | None = None) -> None:
        """Let the cache obey; nothing may be taken from a busy slot."""
        changed = {edit.target if isinstance(edit, Copy) else edit.slot for edit in edits}
        assert not changed & (self.todo.keys() - {mine})
        self.cache.apply(edits)

    def shareable(self, prompt: list[int]) -> dict[int, int]:
        """Of every slot, how much of `prompt` it could give."""
        return {slot: min(naive_prefix(self.cache.tokens(slot), prompt), len(prompt) - 1) for slot in range(SLOTS)}

    def enter(self, wanted: Wanted) -> int | None:
        """Ask for admission; the slot, if it is given."""
        kept = [] if wanted.start is None else self.cache.tokens(wanted.start)[: wanted.keep]
        prompt, headroom = [*kept, *wanted.end] or [0], wanted.headroom
        shareable, busy = self.shareable(prompt), set(self.todo)
        least = {  # cells in use if all that may go goes
            slot: self.cache.occupied(busy, slot, length) + self.table.promised + len(prompt) - length + headroom
            for slot, length in shareable.items()
        }
        reuse = self.table.admit(prompt, headroom)
        if reuse is None:
            assert len(busy) == SLOTS or min(least.values()) > self.cache.size, "there was room"
            return None
        assert reuse.slot not in busy
        self.apply(reuse.edits)
        assert reuse.length < len(prompt)
        assert self.cache.tokens(reuse.slot) == prompt[: reuse.length]
        for slot, length in shareable.items():
            assert length <= reuse.length or least[slot] > self.cache.size, "more could have been reused"
        self.todo[reuse.slot] = prompt[reuse.length :]
        assert self.table.room(reuse.slot) == len(prompt) - reuse.length + headroom
        return reuse.slot

    @rule(wanted=WANTED)
    def admit(self, wanted: Wanted) -> None:
        self.enter(wanted)

    @rule(wanted=WANTED)
    def answer(self, wanted: Wanted) -> None:
        """A request from its beginning to its end."""
        slot = self.enter(wanted)
        if slot is not None:
            self.decode(slot, self.todo[slot])
            self.let_go(slot)

    def decode(self, slot: int, tokens: list[int]) -> None:
        self.cache.decode(slot, tokens)
        self.table.evaluated(slot, tokens)

    def let_go(self, slot: int) -> None:
        self.table.release(slot)
        del self.todo[slot]
        if self.cache.tokens(slot):
            assert self.table.idle()[-1].slot == slot, "the last to be dropped"

    def busy(self, pick: int) -> int:
        return sorted(self.todo)[pick % len(self.todo)]

    @precondition(lambda self: self.todo)
    @rule(pick=st.integers(0, SLOTS), count=st.integers(1, 8), generated=st.integers(0, 1))
    def evaluate(self, pick: int, count: int, generated: int) -> None:
        """The next slice of the prompt, or one generated token, within what was promised."""
        slot = self.busy(pick)
        todo = self.todo[slot]
        tokens = (todo[:count] or [generated])[: self.table.room(slot)]
        self.decode(slot, tokens)
        del todo[:count]

    @precondition(lambda self: self.todo)
    @rule(pick=st.integers(0, SLOTS), count=st.integers(1, 12))
    def grow(self, pick: int, count: int) -> None:
        slot = self.busy(pick)
        room, promised = self.table.room(slot), self.table.promised
        edits = self.table.grow(slot, count)
        if edits is None:
            assert self.cache.occupied(set(self.todo)) + promised + count > self.cache.size, "there was room"
        else:
            self.apply(edits)
        assert self.table.room(slot) == room + (count if edits is not None else 0)

    @precondition(lambda self: self.todo)
    @rule(pick=st.integers(0, SLOTS))
    def release(self, pick: int) -> None:
        self.let_go(self.busy(pick))

    @rule(slot=st.integers(0, SLOTS - 1))
    def drop(self, slot: int) -> None:
        self.apply(self.table.drop(slot), mine=slot)
        self.todo.pop(slot, None)
        assert self.cache.tokens(slot) == []

    @invariant()
    def holds_what_the_cache_holds(self) -> None:
        for resident in self.table._residents:
            assert resident.tokens == self.cache.tokens(resident.slot)
            assert resident.busy == (resident.slot in self.todo)

    @invariant()
    def counts_as_the_cache_counts(self) -> None:
        assert self.table.used == len(self.cache.cells)
        assert self.table.used + self.table.promised <= self.cache.size


TestKvMachine = KvMachine.TestCase
TestKvMachine.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)


@settings(deadline=None)
@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_common_prefix_is_the_longest(shared: list[int], a: list[int], b: list[int]) -> None:
    assert common_prefix(shared + a, shared + b) == naive_prefix(shared + a, shared + b)


def filled(slots: int, cells: int, *prompts: list[int]) -> KvTable:
    """A table in which each of `prompts` was answered once, one after another."""
    table = KvTable(slots, cells)
    for slot, prompt in enumerate(prompts):
        reuse = table.admit(prompt, 0)
        assert reuse is not None
        assert reuse.slot == slot
        table.evaluated(slot, prompt[reuse.length :])
    for slot in range(len(prompts)):
        table.release(slot)
    return table


def words(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


def test_the_same_prompt_again_evaluates_its_last_token_only() -> None:
    table = filled(2, 100, words(0, 20))
    reuse = table.admit(words(0, 20), 5)
    assert reuse is not None
    assert (reuse.slot, reuse.length, reuse.edits) == (0, 19, (Truncate(0, 19),))


def test_a_running_answer_is_copied_from_not_taken_over() -> None:
    table = KvTable(2, 100)
    table.admit(words(0, 20), 5)
    table.evaluated(0, words(0, 20))
    reuse = table.admit([*words(0, 15), 99], 5)
    assert reuse is not None
    assert (reuse.slot, reuse.length, reuse.edits) == (1, 15, (Copy(0, 1, 0, 15),))
    assert table.used == 20


@pytest.mark.parametrize(
    ("shared", "tail", "taken_over"),
    [(300, 256, True), (300, 257, False), (100, 100, True), (100, 101, False)],
)
def test_an_idle_resident_is_taken_over_when_it_loses_little(shared: int, tail: int, taken_over: bool) -> None:
    table = filled(2, 2000, words(0, shared + tail))
    reuse = table.admit([*words(0, shared), -1], 0)
    assert reuse is not None
    assert (reuse.slot == 0) == taken_over
    assert reuse.length == shared


def test_a_long_tail_goes_when_there_is_no_slot_to_copy_to() -> None:
    table = filled(1, 2000, words(0, 1000))
    reuse = table.admit([*words(0, 10), -1], 0)
    assert reuse is not None
    assert reuse.edits == (Truncate(0, 10),)


def test_the_least_recently_used_residents_make_room_and_no_more_of_them_than_needed() -> None:
    table = filled(4, 40, words(0, 10), words(100, 10), words(200, 10))
    table.admit(words(0, 10), 0)  # touches the oldest
    table.evaluated(0, words(9, 1))
    table.release(0)
    reuse = table.admit(words(300, 15), 0)
    assert reuse is not None
    assert reuse.edits == (Clear(1),)
    assert [held.slot for held in table.idle()] == [2, 0]


def test_shared_cells_are_free_only_when_their_last_owner_goes() -> None:
    table = filled(3, 30, words(0, 20))
    reuse = table.admit([*words(0, 5), 90, 91], 0)  # shares five cells
    assert reuse is not None
    assert reuse.edits == (Copy(0, 1, 0, 5),)
    table.evaluated(reuse.slot, [90, 91])
    assert table.used == 22
    table.drop(0)
    assert table.used == 7


def test_spare_is_what_neither_runs_nor_was_used_last() -> None:
    table = filled(5, 200, words(0, 20), words(100, 30), words(200, 40))
    assert table.spare == 20 + 30
    table.admit(words(100, 30), 10)  # runs
    assert table.spare == 20
    reuse = table.admit([*words(200, 39), -1], 10)  # takes the newest over
    assert reuse is not None
    assert reuse.slot == 2
    assert table.spare == 0, "what is left idle is the newest now"
    table.release(1)
    table.release(2)
    assert table.spare == 20 + 29


def test_a_slot_taken_over_frees_only_the_cells_it_shares_with_nobody() -> None:
    table = KvTable(2, 10)
    for slot, prompt in enumerate((words(0, 6), [*words(0, 5), 99])):
        reuse = table.admit(prompt, 0)
        assert reuse is not None
        table.evaluated(slot, prompt[reuse.length :])
    table.release(1)
    assert table.used == 7
    assert table.admit(words(50, 5), 0) is None
    assert table.admit(words(50, 4), 0) is not None


def test_what_running_answers_were_promised_is_not_given_away() -> None:
    table = KvTable(2, 30)
    assert table.admit(words(0, 10), 10) is not None
    assert table.admit(words(100, 11), 0) is None
    assert table.admit(words(100, 10), 0) is not None


def test_without_a_free_slot_there_is_no_admission() -> None:
    table = KvTable(1, 30)
    assert table.admit(words(0, 5), 0) is not None
    assert table.admit(words(0, 5), 0) is None


def test_of_two_equal_sources_the_one_that_costs_no_room_is_taken_when_room_is_short() -> None:
    """Both evaluated the prompt by themselves, one still runs."""
    table = KvTable(3, 9)
    admitted = [table.admit(words(0, 4), 0), table.admit(words(0, 4), 0)]
    for reuse in admitted:
        assert reuse is not None
        table.evaluated(reuse.slot, words(0, 4))
    table.release(0)
    again = table.admit([*words(0, 4), 9], 1)
    assert again is not None
    assert again.edits == (Clear(0), Copy(1, 2, 0, 4))
