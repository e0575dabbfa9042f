"""Notices a worker that lives and does nothing: a wedged kernel, a stopped process, a step that never ends.

It asks while there is work, and counts its questions, not the time: a machine that slept, or a daemon that was late
itself, has missed one answer at most. It knows neither what is asked nor what becomes of a worker that hangs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["PATIENCE", "PULSE_S", "Watchdog"]

PULSE_S = 5.0
"""Seconds between two looks."""
PATIENCE = 6
"""Looks in a row without an answer after which a worker hangs. A slow machine's longest step takes a few seconds."""


class Watchdog:
    """Looks every `PULSE_S` while `busy`; calls `hung`, once, when `ask` was left without an answer for too long."""

    def __init__(self, ask: Callable[[], None], busy: Callable[[], bool], hung: Callable[[], None]) -> None:
        self._ask = ask
        self._busy = busy
        self._hung = hung
        self._looks = 0  # since a question was asked that has no answer yet
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """There is work. Nothing more is needed until there is work again after there was none."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PULSE_S, self._look)

    def answered(self) -> None:
        self._looks = 0

    def stop(self) -> None:
        """The worker is gone. The next one has been asked nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looks = 0

    def _look(self) -> None:
        self._timer = None
        if self._looks >= PATIENCE:
            self._hung()
            return
        if not self._looks and not self._busy():
            return
        self._looks += 1
        if self._looks == 1:
            self._ask()
        self.watch()
