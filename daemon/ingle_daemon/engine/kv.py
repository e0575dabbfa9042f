"""What of a prompt is already in the KV cache, and the edit plan to reuse it. Pure: it never sees a tensor.

The cache is one pool of cells shared by a fixed number of slots (llama.cpp calls them sequences; `kv_unified`). Two
slots may share cells: a copy costs metadata only. This table mirrors which tokens stand in which slot, plans what to
reuse, and counts cells the way llama.cpp will. Finished requests stay resident until their cells are needed.

An `append_only` table never gives a freed cell out again before everything is compacted. Then the cells of a sequence
stand in the order of its tokens, whatever else came and went, and attention adds them up in that order: the same sum to
the last bit as if it had run alone.

A table that does not `rewind` is that of a recurrent or hybrid model, whose state cannot be taken back to an earlier
token: a resident is reused as a whole, or not at all.

A slot may be `joined`: a prefix of its own and a block of cells lent by another slot (`splice`). It lasts as long as
its request, and nobody reuses anything of it: every other resident is exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count, islice

from ingle_daemon.engine.splice import Block, find_block
from ingle_daemon.engine.tokens import common_prefix

__all__ = ["Clear", "Copy", "Edit", "KvTable", "Resident", "Reuse", "Truncate"]


@dataclass(frozen=True, slots=True)
class Copy:
    """Cells of `source` at positions [start, stop) also become `target`'s."""

    source: int
    target: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """Forget what `slot` holds from position `length` on."""

    slot: int
    length: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget everything `slot` holds: `tokens`, which somebody may want to keep elsewhere first."""

    slot: int
    tokens: tuple[int, ...] = field(default=(), compare=False)


Edit = Copy | Truncate | Clear


@dataclass(slots=True)
class Resident:
    """What one slot holds. `cells` are the identities of its cells, parallel to `tokens`; copies share them.

    The token at index i stands at position i, in a `joined` slot only up to the block.
    """

    slot: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    busy: bool = False
    reserved: int = 0
    used_at: int = 0
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Reuse:
    """Admission of a request: run in `slot`, whose first `length` tokens are evaluated once `edits` are applied."""

    slot: int
    length: int
    edits: tuple[Edit, ...]


_TAIL_WORTH_KEEPING = 256
"""An idle resident that would lose more tokens than this, or more than it shares, is copied from, not taken over."""
_SUFFIX_WORTH_KEEPING = 16
"""The same for a prompt with a suffix: the tail may hold the suffix's cells."""


class KvTable:
    """The residents of all slots. Mutating methods return the edits that bring the real cache to the same state."""

    def __init__(self, slots: int, cells: int, *, append_only: bool = False, rewinds: bool = True) -> None:
        self.cells = cells
        self.garbage = 0
        """Cells that are free but not given out again before `compact`."""
        self._append_only = append_only
        self._rewinds = rewinds
        self._residents = [Resident(slot) for slot in range(slots)]
        self._owners: Counter[int] = Counter()
        self._new_cell = count()
        self._clock = count(1)

    @property
    def used(self) -> int:
        """Cells that hold something."""
        return len(self._owners)

    @property
    def promised(self) -> int:
        """Cells that busy slots may still fill."""
        return sum(resident.reserved for resident in self._residents)

    @property
    def spare(self) -> int:
        """Cells that only idle residents hold, but for the one used last; with shared ones perhaps a few less."""
        busy = [held for held in self._residents if held.busy]
        needed = sum(len(held.tokens) for held in (*busy, *self.idle()[-1:]))
        return max(self.used - needed, 0)

    def admit(self, prompt: list[int], headroom: int, *, spare_suffix: bool = False) -> Reuse | None:
        """Make room for a request and `headroom` more tokens, reusing what is there.

        None when busy slots leave too little room. At least the prompt's last token stays to be evaluated, because
        its logits are needed. With `spare_suffix` a resident that may hold the prompt's suffix is not taken over.
        """
        spared_tail = _SUFFIX_WORTH_KEEPING if spare_suffix else _TAIL_WORTH_KEEPING
        for source, length in self._sources(prompt):
            need = len(prompt) - length + headroom
            for slot in self._places(source, length, spared_tail):
                victims = self._victims(need, slot, source, length)
                if victims is not None:
                    return self._occupy(slot, source, length, victims, need)
        return None

    def evaluated(self, slot: int, tokens: list[int]) -> None:
        """`tokens` were decoded at the end of `slot`."""
        resident = self._residents[slot]
        self._fill(resident, tokens)
        resident.reserved = max(resident.reserved - len(tokens), 0)

    def retract(self, slot: int, length: int) -> None:
        """The last tokens decoded in `slot` were a guess; the first `length` stay."""
        resident = self._residents[slot]
        if not self._append_only:  # else their cells are not to be had again
            resident.reserved += len(resident.tokens) - length
        self._shorten(resident, length)

    def grow(self, slot: int, count: int) -> tuple[Edit, ...] | None:
        """Promise `slot` room for `count` more tokens, at the cost of idle residents; None when there is none."""
        resident = self._residents[slot]
        victims = self._victims(count, resident, resident, len(resident.tokens))
        if victims is None:
            return None
        resident.reserved += count
        return tuple(self._clear(victim) for victim in victims)

    def release(self, slot: int) -> tuple[Edit, ...]:
        """The request is over; its tokens stay for whoever can reuse them, unless they are joined."""
        resident = self._residents[slot]
        edits = (self._clear(resident),) if resident.joined else ()
        resident.busy, resident.reserved, resident.used_at = False, 0, next(self._clock)
        return edits

    def drop(self, slot: int) -> tuple[Edit, ...]:
        """Forget what `slot` holds, busy or not."""
        edit = self._clear(self._residents[slot])
        return (edit, *self.release(slot))

    def block(self, prompt: list[int], joint: int) -> Block | None:
        """What can stand in for the suffix of `prompt`, which begins at index `joint`."""
        exact = ((held.slot, held.tokens) for held in self._residents if not held.joined)
        return find_block(exact, prompt, joint)

    def join(self, slot: int, block: Block) -> tuple[int, tuple[Edit, ...]] | None:
        """Move the request in `slot`, which holds the prompt up to `block`, to a slot that joins both.

        What it leaves stays, exact, for the next request. Returns the new slot; None when every other is busy.
        """
        prefix, lender = self._residents[slot], self._residents[block.slot]
        idle = [held for held in self._residents if not held.busy and held is not lender]
        if not idle:
            return None
        target = min(idle, key=lambda held: (bool(held.tokens), held.used_at))
        edits: list[Edit] = [self._clear(target)] if target.tokens else []
        stop = block.start + block.length
        edits.append(Copy(slot, target.slot, 0, len(prefix.tokens)))
        edits.append(Copy(block.slot, target.slot, block.start, stop))
        self._extend(target, prefix.tokens, prefix.cells)
        self._extend(target, lender.tokens[block.start : stop], lender.cells[block.start : stop])
        target.busy, target.joined = True, True
        target.reserved = max(prefix.reserved - block.length, 0)
        self.release(slot)
        lender.used_at = next(self._clock)
        return target.slot, tuple(edits)

    def place(self, tokens: list[int]) -> Reuse | None:
        """Make room for tokens that come from elsewhere, as an idle resident; None when there is none."""
        for slot in self._places(None, 0, 0):
            victims = self._victims(len(tokens), slot, None, 0)
            if victims is not None:
                reuse = self._occupy(slot, None, 0, victims, 0)
                self._fill(slot, tokens)
                self.release(slot.slot)
                return reuse
        return None

    @property
    def compactable(self) -> bool:
        """Whether `compact` would free anything."""
        return self._append_only and bool(self.garbage or self.idle())

    def compact(self) -> None:
        """Forget everything and begin at the first cell. What is to stay is put back by `refill`."""
        for resident in self._residents:
            resident.tokens.clear()
            resident.cells.clear()
        self._owners.clear()
        self.garbage = 0

    def refill(self, slot: int, tokens: list[int]) -> bool:
        """Put back what a busy slot held; False when there is no room, because what was shared is so no more."""
        if self.used + self.promised + len(tokens) > self.cells:
            return False
        self._fill(self._residents[slot], tokens)
        return True

    def has_room(self, count: int) -> bool:
        """Whether `count` more cells can be filled: what is idle makes room, unless cells are only ever appended."""
        taken = self.used + self.garbage if self._append_only else 0
        return taken + self.promised + count <= self.cells

    def longest_prefix(self, prompt: list[int]) -> int:
        """Tokens of `prompt` that the best resident holds."""
        return self._sources(prompt)[0][1]

    def reusable(self, tokens: list[int], prompt: list[int]) -> int:
        """How many of evaluated `tokens` `prompt` can go on from; its last token is to be evaluated in any case."""
        shared = min(common_prefix(tokens, prompt), len(prompt) - 1)
        return shared if self._rewinds or shared == len(tokens) else 0

    def room(self, slot: int) -> int:
        """Tokens that `slot` may still grow by without asking."""
        return self._residents[slot].reserved

    def idle(self) -> list[Resident]:
        """Residents that no request runs in, least recently used first."""
        held = [resident for resident in self._residents if resident.tokens and not resident.busy]
        return sorted(held, key=lambda resident: resident.used_at)

    def _sources(self, prompt: list[int]) -> list[tuple[Resident | None, int]]:
        """Who could give how much of the prompt, the most first, nobody last.

        Of equals an idle one comes first, because it can be taken over; where there is no room for that, a busy one
        may do, whose cells are there to stay.
        """
        exact = (held for held in self._residents if not held.joined)
        lengths = [(held, self.reusable(held.tokens, prompt)) for held in exact]
        useful = sorted((pair for pair in lengths if pair[1] > 0), key=lambda pair: (-pair[1], pair[0].busy))
        return [*useful, (None, 0)]

    def _places(self, source: Resident | None, length: int, spared_tail: int) -> list[Resident]:
        """Slots to run in, the best first. An idle source that loses little is taken over, else it is copied from."""
        idle = [resident for resident in self._residents if not resident.busy and resident is not source]
        others = sorted(idle, key=lambda resident: (bool(resident.tokens), resident.used_at))[:1]
        if source is None or source.busy:
            return others
        lost = len(source.tokens) - length
        small_loss = lost <= min(length, spared_tail)
        return [source, *others] if small_loss else [*others, source]

    def _victims(self, need: int, slot: Resident, source: Resident | None, length: int) -> list[Resident] | None:
        """Idle residents to drop, least recently used first, so that `need` cells are free; None if that cannot be."""
        missing = self.used + self.garbage + self.promised + need - self.cells
        if self._append_only:
            return None if missing > 0 else []
        leaving: Counter[int] = Counter(slot.cells[length:] if slot is source else slot.cells)
        missing -= sum(1 for cell in leaving if self._owners[cell] == 1)
        victims: list[Resident] = []
        for resident in self.idle():
            if missing <= 0:
                break
            if resident is slot or resident is source:
                continue
            victims.append(resident)
            leaving.update(resident.cells)
            missing -= sum(1 for cell in resident.cells if leaving[cell] == self._owners[cell])
        return victims if missing <= 0 else None

    def _occupy(
        self, slot: Resident, source: Resident | None, length: int, victims: list[Resident], need: int
    ) -> Reuse:
        edits: list[Edit] = [self._clear(victim) for victim in victims]
        if slot is source:
            if len(slot.tokens) > length:
                edits.append(Truncate(slot.slot, length))
            self._shorten(slot, length)
        else:
            if slot.tokens:
                edits.append(self._clear(slot))
            if source is not None:
                edits.append(Copy(source.slot, slot.slot, 0, length))
                self._extend(slot, source.tokens[:length], source.cells[:length])
        slot.busy, slot.reserved, slot.used_at = True, need, next(self._clock)
        return Reuse(slot.slot, length, tuple(edits))

    def _clear(self, resident: Resident) -> Clear:
        edit = Clear(resident.slot, () if resident.joined else tuple(resident.tokens))
        self._shorten(resident, 0)
        resident.joined = False
        return edit

    def _shorten(self, resident: Resident, length: int) -> None:
        for cell in resident.cells[length:]:
            self._owners[cell] -= 1
            if not self._owners[cell]:
                del self._owners[cell]
                self.garbage += self._append_only
        del resident.tokens[length:], resident.cells[length:]

    def _fill(self, resident: Resident, tokens: list[int]) -> None:
        """`tokens` stand in cells of their own."""
        resident.tokens += tokens
        for cell in islice(self._new_cell, len(tokens)):
            resident.cells.append(cell)
            self._owners[cell] = 1

    def _extend(self, resident: Resident, tokens: list[int], cells: list[int]) -> None:
        """`tokens` stand in `cells` of somebody else's, too."""
        resident.tokens += tokens
        resident.cells += cells
        self._owners.update(cells)
