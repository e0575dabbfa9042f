"""Which sequences get tokens in the next batch. Pure: knows no llama.cpp, no clock, and keeps no state.

Policy. Sequences are ranked: completion before ask before warm-up. Those of the best rank present decode one token
each and share what is left of the batch for their prefill, the one with the least left first: a short question does
not wait for a document to be read. The rest pause: their KV stays, and they go on exactly where they were. Where a wide
batch is nearly free (a GPU, measured at load) paused sequences that only decode ride along instead. Nobody starves: one
passed over `patience` times in a row comes first in the next batch, and takes one token's place there if it is of a
lower rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Protocol

from ingle_daemon.protocol import Priority

__all__ = ["RANK", "Capacity", "Runnable", "Slice", "plan"]

RANK: dict[Priority, int] = {"completion": 0, "ask": 1, "warm-up": 2}
"""Lower runs first."""


class Runnable(Protocol):
    """What the policy needs to know of a sequence; `Sequence` has it."""

    @property
    def id(self) -> int: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def pending(self) -> int: ...
    @property
    def decoding(self) -> bool: ...
    @property
    def skipped(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one step may hold: `batch` tokens, of which at most `prefill` of prompts.

    `wide_is_cheap`: several tokens in one step cost hardly more than one.
    """

    batch: int
    prefill: int
    wide_is_cheap: bool = False
    patience: int = 8


class Slice(NamedTuple):
    """The next `tokens` pending tokens of a sequence."""

    id: int
    tokens: int


def plan(runnable: Sequence[Runnable], capacity: Capacity) -> tuple[Slice, ...]:
    """The next batch; `runnable` in order of arrival. Every sequence in it has something pending."""
    if not runnable:
        return ()
    best = min(RANK[sequence.priority] for sequence in runnable)
    wishes = [_wish(sequence, RANK[sequence.priority] == best, capacity) for sequence in runnable]
    wishes.sort(key=_BY_URGENCY)
    served: list[Slice] = []
    batch_left, prefill_left = capacity.batch, capacity.prefill
    for wish in wishes:
        count = min(wish.tokens, batch_left, batch_left if wish.decoding else prefill_left)
        if count:
            served.append(Slice(wish.id, count))
            batch_left -= count
            prefill_left -= 0 if wish.decoding else count
    return tuple(served)


class _Wish(NamedTuple):
    """What a sequence would take if the batch were its own. Lower `urgency` is served first, then what is short."""

    urgency: int
    prefill: int
    """Tokens of a prompt; none once it decodes."""
    id: int
    tokens: int
    decoding: bool


_BY_URGENCY = itemgetter(0, 1)


def _wish(sequence: Runnable, is_best: bool, capacity: Capacity) -> _Wish:
    starved = sequence.skipped >= capacity.patience
    urgency = -1 if starved else RANK[sequence.priority]
    decoding, count = sequence.decoding, int(starved)
    if is_best or (capacity.wide_is_cheap and decoding):
        count = sequence.pending
    return _Wish(urgency, 0 if decoding else count, sequence.id, count, decoding)
