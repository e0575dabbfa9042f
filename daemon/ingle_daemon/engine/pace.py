"""How much of a prompt one step may hold, so that a step stays short whatever the machine. Pure.

A step cannot be interrupted: nothing is cancelled, and no completion gets in, before it ends. The slice follows the
measured speed of prefill, towards a step of `TARGET_S`.
"""

from __future__ import annotations

__all__ = ["TARGET_S", "Pace"]

TARGET_S = 0.1
_SMALLEST = 16
_FIRST = 64
_MEMORY = 0.7
"""Weight of what was known before, against the newest step."""


class Pace:
    """Learns from every prefill step; `slice` is in tokens, between 16 and `largest`."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._seconds_a_token = 0.0

    @property
    def slice(self) -> int:
        if not self._seconds_a_token:
            return min(_FIRST, self._largest)
        return max(min(int(TARGET_S / self._seconds_a_token), self._largest), min(_SMALLEST, self._largest))

    def learn(self, tokens: int, seconds: float) -> None:
        """A step evaluated `tokens` in `seconds`. Steps of a few tokens say nothing of prefill and are passed over."""
        if tokens < _SMALLEST:
            return
        newest = seconds / tokens
        old = self._seconds_a_token or newest
        self._seconds_a_token = _MEMORY * old + (1 - _MEMORY) * newest
