"""When a suffix that was lent is evaluated exactly: once typing pauses. Pure: the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAUSE_S", "Refresh", "Stale"]

PAUSE_S = 0.7
"""Who types leaves less than this between two keys; who reads what was suggested takes longer."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A prompt whose suffix, from index `joint` on, was evaluated for another prefix."""

    tokens: list[int]
    joint: int


class Refresh:
    """The one prompt to evaluate anew; only the newest is worth it."""

    def __init__(self) -> None:
        self._stale: Stale | None = None
        self._due = 0.0

    def after(self, now: float, stale: Stale) -> None:
        """`stale` was completed at `now`."""
        self._stale, self._due = stale, now + PAUSE_S

    def forget(self) -> None:
        """Somebody types on."""
        self._stale = None

    def due_in(self, now: float) -> float | None:
        """Seconds until `take` has something; None when there is nothing to wait for."""
        return max(self._due - now, 0.0) if self._stale else None

    def take(self) -> Stale | None:
        """What is to be evaluated, once."""
        stale, self._stale = self._stale, None
        return stale
