"""The choice what becomes of a command, made on the user's terminal, whatever standard input is.

Only a key that was pressed after the menu stood there counts, and every key that it does not name means: nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Literal

from ingle_shell.keyboard import unechoed
from ingle_shell.layout import laid_out

__all__ = ["Choice", "Terminal", "choose"]

Choice = Literal["run", "edit", "copy", "explain", "refine", "larger", "abort"]

_KEYS: dict[str, Choice] = {"r": "run", "e": "edit", "c": "copy", "x": "explain", "f": "refine", "k": "larger"}
_ABORTING = ("", "\r", "\n", "\x1b", "\x03", "\x04", "q", "a", "n")
_MENU = "[r]un [e]dit [c]opy e[x]plain re[f]ine"
_WORD = "run"
_REST_OF_KEY_S = 0.05
_LONGEST_KEY = 16  # bytes
_LOCAL = 3  # termios' place for local modes


class Terminal:
    """The terminal of this process: /dev/tty, opened anew."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def open(cls) -> Terminal | None:
        """None where the process has no terminal, or its output does not go to one."""
        if not (sys.stdout and sys.stdout.isatty()):
            return None
        with contextlib.suppress(OSError):
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY))
        return None

    @property
    def width(self) -> int:
        return max(20, shutil.get_terminal_size().columns - 1)

    def write(self, text: str) -> None:
        """Text that was made safe before."""
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self.descriptor, data) :]

    def key(self) -> str:
        """The next key, not shown; "" at the end of input. What was typed before, or comes with it, is thrown away."""
        with self._raw():
            termios.tcflush(self.descriptor, termios.TCIFLUSH)
            pressed = os.read(self.descriptor, 1)
            termios.tcflush(self.descriptor, termios.TCIFLUSH)
        return pressed.decode("latin-1")

    def answer(self, question: str, patience: float) -> str | None:
        """One key for a question, "" where none comes in `patience` seconds. What is typed after it stays unread.

        None, and nothing is asked, where something was typed ahead, which was meant for somebody else, and in the
        background.
        """
        if os.tcgetpgrp(self.descriptor) != os.getpgrp():
            return None
        with self._by_key():
            if self._waits(0):
                return None
            self.write(question)
            pressed = os.read(self.descriptor, 1) if self._waits(patience) else b""
            if pressed == b"\x1b" and self._waits(_REST_OF_KEY_S):
                os.read(self.descriptor, _LONGEST_KEY)  # an arrow, say: its letters are no keys of their own
            self.write("\n")
        return pressed.decode("latin-1")

    def unechoed(self) -> contextlib.AbstractContextManager[None]:
        """Within it nothing that is typed is shown."""
        return unechoed(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)

    def _waits(self, patience: float) -> bool:
        """Whether there is something to read, or will be in so many seconds."""
        return bool(select.select([self.descriptor], [], [], patience)[0])

    def line(self, prompt: str) -> str:
        """A line, typed in the terminal's own way; "" at the end of input. Raises KeyboardInterrupt."""
        termios.tcflush(self.descriptor, termios.TCIFLUSH)
        self.write(prompt)
        typed = b""
        while not typed.endswith(b"\n"):
            if not (more := os.read(self.descriptor, 4096)):
                break
            typed += more
        return typed.decode("utf-8", "replace").strip()

    @contextlib.contextmanager
    def _by_key(self) -> Iterator[None]:
        """Keys come one by one and unseen. What is typed meanwhile and not read is whole lines again afterwards."""
        before = termios.tcgetattr(self.descriptor)
        by_key = termios.tcgetattr(self.descriptor)
        by_key[_LOCAL] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        try:
            termios.tcsetattr(self.descriptor, termios.TCSANOW, by_key)
            yield
        finally:
            termios.tcsetattr(self.descriptor, termios.TCSANOW, before)

    @contextlib.contextmanager
    def _raw(self) -> Iterator[None]:
        before = termios.tcgetattr(self.descriptor)
        try:
            tty.setraw(self.descriptor, termios.TCSANOW)
            yield
        finally:
            termios.tcsetattr(self.descriptor, termios.TCSANOW, before)


def choose(terminal: Terminal, *, runnable: bool, needs_word: bool, larger: str = "") -> Choice:
    """What the user wants. Nothing, unless they say otherwise; what needs a word is not run by one key.

    `larger` is the model that may be asked instead, "" for none.
    """
    menu = _MENU if runnable else _MENU.replace("[r]un ", "")
    if larger:
        menu += f" as[k] {larger}"
    while True:
        terminal.write(laid_out(f"{menu}\nEnter aborts > ", terminal.width))
        pressed = terminal.key()
        choice = _KEYS.get(pressed.lower())
        terminal.write(f"{choice or 'abort'}\r\n" if choice or pressed in _ABORTING else "\r\n")
        if pressed in _ABORTING:
            return "abort"
        if (choice == "run" and not runnable) or (choice == "larger" and not larger):
            continue
        if choice == "run" and needs_word and terminal.line(f"Type {_WORD} to run it: ") != _WORD:
            return "abort"
        if choice:
            return choice
