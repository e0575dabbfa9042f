"""Which sequences get tokens in the next batch. Pure: knows no llama.cpp, no clock, and keeps no state.

Policy. Sequences are ranked: completion before ask before warm-up, then first come, first served. Those of the best
rank present decode one token each and share what is left of the batch for their prefill, the earliest first. The
rest pause: their KV stays, and they go on exactly where they were. Where a wide batch is nearly free (a GPU, measured
at load) paused sequences that only decode ride along instead. Nobody starves: a sequence passed over `patience` times
in a row gets one token's place in the next batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
    """What one step may hold: `batch` tokens, of which at most `prefill` of prompts."""

    batch: int
    prefill: int
    wide_is_cheap: bool = False
    patience: int = 8


@dataclass(frozen=True, slots=True)
class Slice:
    """The next `count` pending tokens of a sequence."""

    id: int
    count: int


def plan(runnable: list[Runnable], capacity: Capacity) -> tuple[Slice, ...]:
    """The next batch; `runnable` in order of arrival. Every sequence in it has something pending."""
    if not runnable:
        return ()
    best = min(RANK[sequence.priority] for sequence in runnable)
    served: list[Slice] = []
    prefill_left = capacity.prefill
    for sequence in sorted(runnable, key=lambda sequence: RANK[sequence.priority]):
        left = capacity.batch - sum(piece.count for piece in served)
        if left <= 0:
            break
        count = _share(sequence, RANK[sequence.priority] == best, prefill_left, capacity)
        if count := min(count, left):
            served.append(Slice(sequence.id, count))
            if not sequence.decoding:
                prefill_left -= count
    return tuple(served)


def _share(sequence: Runnable, is_best: bool, prefill_left: int, capacity: Capacity) -> int:
    if is_best or (capacity.wide_is_cheap and sequence.decoding):
        return sequence.pending if sequence.decoding else min(sequence.pending, max(prefill_left, 0))
    if sequence.skipped >= capacity.patience:
        return 1
    return 0
