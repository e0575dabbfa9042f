"""Standard output and standard error of one command: what may go there, and what happens when they are gone.

This module knows whether they are terminals; it does not know what is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from ingle_daemon.errors import IngleError
from ingle_shell.layout import Verbatim, laid_out
from ingle_shell.render import TerminalText, plain

if TYPE_CHECKING:
    from ingle_shell.markdown import LiveMarkdown

__all__ = ["Screen", "agrees", "keyboard_of_user", "settle"]


class Screen:
    """The answer goes out through `write`, as it comes; what is said in its place through `tell`, everything else
    through `note`. On a terminal these two are laid out as wide as that is; a pipe gets them as they are.

    With `markdown` the answer is that, and a terminal that can move its cursor shows it laid out.
    Raises BrokenPipeError when nobody reads any more, IngleError when the answer cannot be written.
    """

    def __init__(self, *, markdown: bool = False) -> None:
        self._out = _usable(sys.stdout)
        self._err = _usable(sys.stderr)
        self._filter = TerminalText() if self._out.isatty() else None
        self._live = self._new_live() if markdown and self._filter and _can_move() else None
        self._mid_line = False

    @property
    def interactive(self) -> bool:
        """Whether somebody watches the notes."""
        return self._err.isatty()

    def write(self, text: str) -> None:
        """Answer text. A terminal gets it without escape sequences, a pipe gets it as it is."""
        if self._live:
            self._live.feed(text)
        else:
            self._emit(self._filter.feed(text) if self._filter else text)

    def end_line(self) -> None:
        """End the answer with a newline, if it has not got one."""
        if self._live:
            self._live.finish()
            self._live = self._new_live()
        elif self._filter:
            self._emit(self._filter.finish())
        if self._mid_line:
            self._emit("\n")

    def tell(self, *parts: str) -> None:
        """What no model wrote and people asked for, each part on lines of its own; a `Verbatim` one stands as it is."""
        for part in parts:
            text = plain(part) if self._filter else part
            if self._filter and not isinstance(part, Verbatim):
                text = laid_out(text, self._size().columns)
            self._emit(text)
            self.end_line()

    def note(self, text: str, *, dim: bool = False, end: str = "\n") -> None:
        """A line beside the answer. Where it cannot be written, the answer and the exit code are no worse for it."""
        text = plain(text)
        if self.interactive:
            text = laid_out(text, _size_of(self._err).columns)
        if dim and self.interactive and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
            text = f"\x1b[2m{text}\x1b[0m"
        with contextlib.suppress(IngleError, BrokenPipeError):
            _put(self._err, text + end)

    def _new_live(self) -> LiveMarkdown:
        from ingle_shell.markdown import LiveMarkdown  # rich takes a tenth of a second; a pipe does not pay for it

        return LiveMarkdown(self._emit, self._size)

    def _size(self) -> os.terminal_size:
        return _size_of(self._out)

    def _emit(self, text: str) -> None:
        if text:
            _put(self._out, text)
            self._mid_line = not text.endswith("\n")


def keyboard_of_user() -> TextIO | None:
    """The user's terminal, also where standard input is a pipe; None where there is none."""
    try:
        return open("/dev/tty", encoding="utf-8", errors="replace")  # noqa: PTH123 - a device, not a path
    except OSError:
        return None


def agrees(question: str, screen: Screen, *, otherwise: bool) -> bool:
    """The user's yes or no; `otherwise` is what a mere return key means. Nobody at a keyboard does not agree."""
    keyboard = keyboard_of_user()
    if keyboard is None:
        return False
    with keyboard:
        screen.note(f"{question} [{'Y/n' if otherwise else 'y/N'}] ", end="")
        line = keyboard.readline()
    if not line:
        return False
    return otherwise if not line.strip() else line.strip().lower() in ("y", "yes")


def settle(program: str, error: IngleError | KeyboardInterrupt, *, as_json: bool = False) -> int:
    """Tell the user how it ended, and return the exit code. With `as_json` programs are told as well."""
    screen = Screen()
    if isinstance(error, KeyboardInterrupt):
        if screen.interactive:
            screen.note("")  # the shell's prompt shall not stand behind ^C
        return 130
    screen.note(f"{program}: {error}")
    if as_json:
        with contextlib.suppress(IngleError, BrokenPipeError):  # the exit code still tells
            screen.write(json.dumps({"error": error.to_wire()}) + "\n")
    return error.exit_code


def _size_of(stream: TextIO) -> os.terminal_size:
    """Of the terminal, now; some say that they have no columns at all."""
    with contextlib.suppress(OSError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns and size.lines:
            return size
    return os.terminal_size((80, 24))


def _can_move() -> bool:
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def _usable(stream: TextIO | None) -> TextIO:
    """The stream; a closed one (`2>&-`) becomes the null device."""
    if stream is None:
        return open(os.devnull, "w")  # noqa: PTH123 - lives as long as the process
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="replace")  # a terminal without the character shows ?
    return stream


def _put(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as exc:
        # What is left in the buffer would fail once more, loudly, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(exc, BrokenPipeError):
            raise
        raise IngleError(f"cannot write the answer: {exc.strerror}", hint="Write it elsewhere, or make room.") from exc
