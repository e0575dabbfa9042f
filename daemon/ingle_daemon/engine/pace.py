"""How much of a prompt one step may hold, so that a step stays short whatever the machine. Pure.

Nothing is cancelled, and no completion gets in, before a step ends. The slice follows the measured speed of prefill,
towards a step of `TARGET_S`, or of `BACKGROUND_S` for work that nobody waits for. Where a step can be interrupted it
may last `LONG_S`: larger slices are faster. What is interrupted is lost, so that after that steps are as short as the
others, and grow again while nothing comes between.
"""

from __future__ import annotations

__all__ = ["BACKGROUND_S", "LONG_S", "TARGET_S", "Pace"]

TARGET_S = 0.1
BACKGROUND_S = 0.03
LONG_S = 1.0
_SMALLEST = 16
_SMALLEST_IN_BACKGROUND = 4
_FIRST = 64
_GROWTH = 1.5
"""Of a long step after one that was not interrupted: to the longest it takes two seconds in which nobody comes."""
_MEMORY = 0.7
"""Weight of what was known before, against the newest step."""


class Pace:
    """Learns from every prefill step. Slices are at most `largest` tokens."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._seconds_a_token = 0.0
        self._uninterrupted = LONG_S

    def seconds(self, tokens: int) -> float | None:
        """What it takes to evaluate so many tokens of a prompt; None while nothing is known."""
        return tokens * self._seconds_a_token or None

    @property
    def slice(self) -> int:
        """Tokens of prompts for one step."""
        return self._fitting(TARGET_S, _SMALLEST)

    @property
    def background_slice(self) -> int:
        """The same for a step that nobody waits for."""
        return self._fitting(BACKGROUND_S, _SMALLEST_IN_BACKGROUND)

    @property
    def long_slice(self) -> int:
        """The same for a step that can be interrupted."""
        return self._fitting(self._uninterrupted, _SMALLEST)

    @property
    def may_be_long(self) -> bool:
        """How long that would take is known, and longer than a step that cannot be interrupted."""
        return self._seconds_a_token > 0 and self._uninterrupted > TARGET_S

    def interrupted(self) -> None:
        """A step was, and what it had evaluated is lost."""
        self._uninterrupted = TARGET_S

    def learn(self, tokens: int, seconds: float) -> None:
        """A step evaluated `tokens` in `seconds`. Steps of a few tokens say nothing of prefill and are passed over."""
        if tokens < _SMALLEST:
            return
        self._uninterrupted = min(_GROWTH * self._uninterrupted, LONG_S)
        newest = seconds / tokens
        old = self._seconds_a_token or newest
        self._seconds_a_token = _MEMORY * old + (1 - _MEMORY) * newest

    def _fitting(self, seconds: float, smallest: int) -> int:
        fitting = seconds / self._seconds_a_token if self._seconds_a_token else _FIRST * seconds / TARGET_S
        return min(max(int(fitting), smallest), self._largest)
