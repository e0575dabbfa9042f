"""The KV cache as the engine uses it: the plan (`KvTable`), the real cells (`Runner`) and what left them (`Shelf`).

It keeps the three in step and knows slots and tokens, not requests or priorities. Whatever is cleared goes to the shelf
first, where it is worth that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingle_daemon.engine.kv import Clear, Edit, KvTable, Truncate
from ingle_daemon.engine.runner import Runner
from ingle_daemon.engine.shelf import Shelf
from ingle_daemon.engine.splice import Block, find_block
from ingle_daemon.engine.tokens import common_prefix

__all__ = ["Admission", "Cache", "Joined"]

_WASTE = 1024
"""Cells that are put up with though no request looks at them: on a CPU attention passes over them, but not for nothing
(`tests/bench/neighbours.py`)."""
_SMALL_WASTE = 256
"""The same when there is nothing else to do."""
_KEPT_SHARE = 0.5
"""Of the cells, for the resident that a compaction puts back at once."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Run in `slot`, whose first `length` tokens are evaluated; `shelved`: they came back from the shelf."""

    slot: int
    length: int
    shelved: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Go on in `slot`, evaluated up to index `evaluated`; what follows stands `shift` positions off its index."""

    slot: int
    evaluated: int
    shift: int


class Cache:
    """Owner of the runner's memory."""

    def __init__(self, runner: Runner, table: KvTable, shelf: Shelf) -> None:
        self._runner = runner
        self._table = table
        self._shelf = shelf
        self._spare = 0
        """Cells of idle residents that are better off on the shelf."""

    @property
    def worn(self) -> bool:
        """So many cells are wasted that a compaction pays even now."""
        return self._table.garbage + self._spare > _WASTE

    @property
    def untidy(self) -> bool:
        """A compaction pays when there is nothing else to do."""
        return self._table.garbage + self._spare > _SMALL_WASTE

    @property
    def compactable(self) -> bool:
        """Whether a compaction would free anything."""
        return self._table.compactable

    def admit(self, prompt: list[int], headroom: int, *, spare_suffix: bool) -> Admission | None:
        """A slot for a request, with all that is known of its prompt; None when there is no room."""
        shelved = self._unshelve(prompt, headroom)
        reuse = self._table.admit(prompt, headroom, spare_suffix=spare_suffix)
        if reuse is None:
            return None
        self._apply(reuse.edits)
        self._count_spare()
        return Admission(reuse.slot, reuse.length, shelved)

    def evaluated(self, slot: int, tokens: list[int]) -> None:
        """`tokens` were decoded at the end of `slot`."""
        self._table.evaluated(slot, tokens)

    def retract(self, slot: int, length: int, shift: int) -> None:
        """Take back what was decoded in `slot` after its first `length` tokens, `shift` off their indices."""
        self._table.retract(slot, length)
        self._runner.apply((Truncate(slot, length + shift),))

    def block(self, prompt: list[int], joint: int) -> Block | None:
        """What can stand in for the prompt's suffix, on the shelf too."""
        return self._table.block(prompt, joint) or self._unshelve_block(prompt, joint)

    def join(self, slot: int, block: Block) -> Joined | None:
        """Move the request in `slot` to one where `block` follows; None when there is none."""
        joined = self._table.join(slot, block)
        if joined is None:
            return None
        target, edits = joined
        self._apply(edits)
        return Joined(target, block.at + block.length, block.start - block.at)

    def reserve(self, slot: int, tokens: int, more: int) -> bool:
        """Room in `slot` for `tokens`, and `more` while it is about it; False when there is none."""
        room = self._table.room(slot)
        if room >= tokens:
            return True
        edits = self._table.grow(slot, max(tokens, more) - room)
        if edits is None:
            return False
        self._apply(edits)
        return True

    def release(self, slot: int) -> None:
        """The request in `slot` is over."""
        self._apply(self._table.release(slot))
        self._count_spare()

    def drop(self, slot: int) -> None:
        """Take the cells of `slot`."""
        self._apply(self._table.drop(slot))
        self._count_spare()

    def compact(self, running: list[tuple[int, list[int]]], *, keep_idle: bool) -> list[int]:
        """Free every cell that nobody uses. `running` slots and their tokens stay, in order of importance.

        Returns those that had to leave all the same: cells that were shared are so no more. With `keep_idle` the
        newest of the idle residents is put back, and what is small; the others go to the shelf.
        """
        states = [(slot, tokens, self._runner.save(slot)) for slot, tokens in running if tokens]
        kept = self._take_out(sum(len(tokens) for _, tokens in running) if keep_idle else self._table.cells)
        self._table.compact()
        self._runner.clear()
        lost = [slot for slot, tokens, state in states if not self._refill(slot, tokens, state)]
        for tokens, state in kept:
            if not self._place(tokens, state):
                self._shelf.put(tuple(tokens), state)
        self._count_spare()
        return lost

    def states(self) -> list[tuple[list[int], bytes]]:
        """Everything idle that is worth keeping for the next run, the most recently used first."""
        residents = [held for held in reversed(self._table.idle()) if self._shelf.wants(tuple(held.tokens))]
        return [(list(held.tokens), self._runner.save(held.slot)) for held in residents] + self._shelf.all()

    def _apply(self, edits: Iterable[Edit]) -> None:
        for edit in edits:
            if isinstance(edit, Clear) and self._shelf.wants(edit.tokens):
                self._shelf.put(edit.tokens, self._runner.save(edit.slot))
            self._runner.apply((edit,))

    def _refill(self, slot: int, tokens: list[int], state: bytes) -> bool:
        return self._table.refill(slot, tokens) and self._runner.load(slot, state)

    def _take_out(self, used: int) -> list[tuple[list[int], bytes]]:
        """The idle residents to put back into a cache that holds `used` tokens; what else is worth it is shelved."""
        kept: list[tuple[list[int], bytes]] = []
        room = _KEPT_SHARE * self._table.cells - used
        for held in reversed(self._table.idle()):
            tokens = list(held.tokens)
            # A copy that one of the others nearly is would cost cells of its own from now on.
            distinct = all(common_prefix(tokens, other) < 0.75 * len(tokens) for other, _ in kept)
            if distinct and len(tokens) <= room:
                kept.append((tokens, self._runner.save(held.slot)))
                room = min(room - len(tokens), self._room_beside_the_newest(kept))
            elif self._shelf.wants(held_tokens := tuple(tokens)):
                self._shelf.put(held_tokens, self._runner.save(held.slot))
        return kept

    def _room_beside_the_newest(self, kept: list[tuple[list[int], bytes]]) -> float:
        """Cells for more of the idle residents."""
        if not self._runner.passes_over:
            return self._table.cells
        return _SMALL_WASTE - sum(len(tokens) for tokens, _ in kept[1:])

    def _count_spare(self) -> None:
        self._spare = self._table.spare if self._runner.passes_over else 0

    def _unshelve(self, prompt: list[int], headroom: int) -> bool:
        """Put back the state that knows most of `prompt`, if it knows more than the cache does and there is room.

        Room for what is left of the prompt, too: a long state that shares its head would keep it out for good.
        """

        def worth(tokens: list[int]) -> int:
            shared = self._table.reusable(tokens, prompt)
            return shared if self._table.has_room(len(tokens) + len(prompt) - shared + headroom) else 0

        return self._put_back(worth, more_than=self._table.longest_prefix(prompt))

    def _unshelve_block(self, prompt: list[int], joint: int) -> Block | None:
        """Put back a state that holds the suffix of `prompt`."""
        found = self._put_back(lambda tokens: _block_length(tokens, prompt, joint), more_than=0)
        return self._table.block(prompt, joint) if found else None

    def _put_back(self, worth: Callable[[list[int]], int], more_than: int) -> bool:
        found = self._shelf.take(worth, more_than)
        if found is None:
            return False
        tokens, state = found
        if self._place(tokens, state):
            return True
        self._shelf.put(tuple(tokens), state)
        return False

    def _place(self, tokens: list[int], state: bytes) -> bool:
        place = self._table.place(tokens)
        if place is None:
            return False
        self._apply(place.edits)
        if self._runner.load(place.slot, state):
            return True
        self._table.drop(place.slot)
        return False


def _block_length(tokens: list[int], prompt: list[int], joint: int) -> int:
    block = find_block([(0, tokens)], prompt, joint)
    return block.length if block else 0
