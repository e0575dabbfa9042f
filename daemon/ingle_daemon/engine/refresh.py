"""When a lent suffix is evaluated exactly: once typing pauses, or between keystrokes when that is cheap. Pure.

The clock is passed in. What is begun goes on while the person types, in the gaps between completions: a suffix that is
a few tokens behind is worth more than one that is never finished.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAUSE_S", "Refresh", "Stale"]

PAUSE_S = 0.7
"""Who types leaves less than this between two keys; who reads what was suggested takes longer."""
_LITTLE, _MUCH = 2, 12
"""Tokens typed since the suffix was evaluated, past which no pause is waited for: where evaluating it takes no time,
and where it takes long."""
_TOKENS_A_SECOND = 8
"""What lies between follows what it takes. Somebody writes three tokens a second, so that a third of the time goes."""


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

    def after(self, typed_at: float, stale: Stale, seconds: float | None) -> None:
        """`stale` was asked for at `typed_at` and is completed; to evaluate it takes `seconds`, if that is known."""
        self._stale = stale
        much = _MUCH if seconds is None else min(max(int(seconds * _TOKENS_A_SECOND), _LITTLE), _MUCH)
        self._due = typed_at if stale.drift > much else typed_at + PAUSE_S

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
