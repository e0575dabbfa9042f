"""When a lent suffix is evaluated exactly: once typing pauses, or between keystrokes when much was typed. Pure.

The clock is passed in. What is begun goes on while the person types, in the gaps between completions: a suffix that is
a few tokens behind is worth more than one that is never finished.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAUSE_S", "Refresh", "Stale"]

PAUSE_S = 0.7
"""Who types leaves less than this between two keys; who reads what was suggested takes longer."""
_MUCH = 12
"""Tokens typed since the suffix was evaluated, past which no pause is waited for."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A prompt whose suffix, from index `joint` on, was evaluated `drift` tokens of typing ago."""

    tokens: list[int]
    joint: int
    drift: int


class Refresh:
    """The one prompt to evaluate anew; only the newest is worth it."""

    def __init__(self) -> None:
        self._stale: Stale | None = None
        self._due = 0.0

    def after(self, typed_at: float, stale: Stale) -> None:
        """`stale` was asked for at `typed_at` and is completed."""
        self._stale = stale
        self._due = typed_at if stale.drift > _MUCH else typed_at + PAUSE_S

    def forget(self) -> None:
        """Somebody types on; what was asked for before counts no more."""
        self._stale = None

    def due_in(self, now: float) -> float | None:
        """Seconds until `take` has something; None when there is nothing to wait for."""
        return max(self._due - now, 0.0) if self._stale else None

    def take(self) -> Stale | None:
        """What is to be evaluated, once."""
        stale, self._stale = self._stale, None
        return stale
