"""When the model leaves a GPU's memory to another program, and when it comes back. Pure: the time is in the samples.

Whether a program asked for memory and was refused nobody tells. What can be seen is that hardly any is left, and that
others than the model hold more than when it was loaded. Either way it has to stay so for a while: a game takes its
memory in steps, and gives it back for a moment when its level changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LOW", "RESERVE", "Pressure", "Sample", "Verdict"]

_MIB = 1 << 20
LOW = 256 * _MIB
"""With less than this free a program cannot do much; a plan leaves more."""
RESERVE = 768 * _MIB
"""What a model that is loaded while others need the memory leaves free for them."""
_GREW = 128 * _MIB
"""What others hold differs by as much all the time: a window is opened, a page has pictures."""
_PATIENCE_S = 10.0
_CALM_S = 30.0

Verdict = Literal["stay", "yield", "return"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The fullest GPU that the model is on, in bytes: what is free, what the model holds and what others do.

    `busy`: somebody waits for the model. `at` is in seconds.
    """

    at: float
    free: int
    ours: int
    others: int
    busy: bool = False


class Pressure:
    """Follows the memory while a model is loaded, and after it has yielded."""

    def __init__(self) -> None:
        self._others: int | None = None
        self._needs = 0
        self._since: float | None = None

    @property
    def away(self) -> bool:
        """The model has yielded: what is loaded now, if anything, was planned around the others."""
        return self._needs > 0

    def forget(self) -> None:
        """A model was loaded anew: what others hold by now is not held against them."""
        self._others, self._needs, self._since = None, 0, None

    def judge(self, sample: Sample) -> Verdict:
        """What the model should do. Nothing happens to it while somebody waits for it."""
        if self.away:
            room = sample.free + sample.ours >= self._needs + RESERVE
            if self._lasts(room, sample.at, _CALM_S) and not sample.busy:
                self.forget()
                return "return"
            return "stay"
        self._others = sample.others if self._others is None else min(self._others, sample.others)
        pressed = sample.free < LOW and sample.others > self._others + _GREW
        if self._lasts(pressed, sample.at, _PATIENCE_S) and not sample.busy:
            self._needs, self._since = max(sample.ours, 1), None
            return "yield"
        return "stay"

    def _lasts(self, condition: bool, now: float, seconds: float) -> bool:
        """Whether `condition` has held for so long."""
        if not condition:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= seconds
