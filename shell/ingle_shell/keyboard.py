"""The keyboard while something else is on the screen: what is typed then waits, unseen, for whoever reads next.

This module knows one setting of a terminal, and no keys.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from collections.abc import Iterator
from types import FrameType

__all__ = ["unechoed"]

_LEAVING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)
_LOCAL = 3  # termios' place for local modes


@contextlib.contextmanager
def unechoed(descriptor: int) -> Iterator[None]:
    """Within it the terminal does not show what is typed. To be entered in the main thread.

    The echo is back before a signal ends or stops this process, and off again when that goes on in the foreground. (It
    is not after kill -9, as everything that a program does to a terminal: `stty echo` helps.)
    """
    echo = _Echo(descriptor)
    before = {number: signal.getsignal(number) for number in _LEAVING}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def pass_on(number: int, frame: FrameType | None) -> None:
        echo.on()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)  # here it ends; or stops, and goes on when it is told to
            signal.signal(number, pass_on)
        echo.off()

    try:
        for number in heard:
            signal.signal(number, pass_on)
        echo.off()
        yield
    finally:
        echo.on()
        for number in heard:
            signal.signal(number, before[number] or signal.SIG_DFL)


class _Echo:
    """A terminal's echo; nothing where there is no terminal. In the background it is the shell's, and not touched."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._taken = 0

    def off(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            if self._foreground():
                modes = termios.tcgetattr(self._descriptor)
                self._taken |= modes[_LOCAL] & termios.ECHO
                modes[_LOCAL] &= ~termios.ECHO
                termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def on(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            if self._taken and self._foreground():
                modes = termios.tcgetattr(self._descriptor)
                modes[_LOCAL] |= self._taken
                termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def _foreground(self) -> bool:
        return os.tcgetpgrp(self._descriptor) == os.getpgrp()
