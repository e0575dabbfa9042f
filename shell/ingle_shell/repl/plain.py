"""Where questions are typed without redraws, for screen readers and terminals that cannot move their cursor."""

from __future__ import annotations

import contextlib
import readline
from pathlib import Path

from ingle_shell.repl.terminal import private_file

__all__ = ["PlainEditor"]

_PROMPT = "> "
_MORE = ". "
_MOST_REMEMBERED = 1000


class PlainEditor:
    """A line at a time; one that ends with a backslash goes on in the next."""

    def __init__(self, history: Path | None) -> None:
        self._history = private_file(history) if history else None
        if self._history:
            with contextlib.suppress(OSError):  # one that cannot be read is begun anew
                readline.read_history_file(self._history)
            readline.set_history_length(_MOST_REMEMBERED)

    def read(self, draft: str) -> str:
        """The next question. Raises EOFError at the end, KeyboardInterrupt when one is given up."""
        readline.set_startup_hook(lambda: readline.insert_text(draft))
        try:
            lines = [input(_PROMPT)]
        finally:
            readline.set_startup_hook(None)
        while lines[-1].endswith("\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(input(_MORE))
        if self._history:
            with contextlib.suppress(OSError):  # on a full disk a question can be asked all the same
                readline.write_history_file(self._history)
        return "\n".join(lines)

    def keys(self, name: str) -> None:
        readline.parse_and_bind(f"set editing-mode {name}")

    def refresh(self) -> None:
        """Nothing is drawn anew."""
