"""Where questions are typed, by prompt_toolkit: several lines, a history, completion, a toolbar."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, ThreadedCompleter
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ingle_shell.repl.terminal import prefers_vi, private_file

__all__ = ["RichEditor"]

_PROMPT = "> "
_MORE = ". "


class RichEditor:
    """`history` is the file that questions are remembered in; None remembers them until the end.

    `input` and `output` are prompt_toolkit's, in place of the terminal.
    """

    def __init__(
        self,
        completer: Completer,
        toolbar: Callable[[int], str],
        history: Path | None,
        **streams: Any,
    ) -> None:
        past: History = FileHistory(str(private_file(history))) if history else InMemoryHistory()
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: _MORE,
            history=past,
            completer=ThreadedCompleter(completer),
            complete_while_typing=False,
            bottom_toolbar=lambda: toolbar(self._columns()),
            key_bindings=_bindings(),
            editing_mode=EditingMode.VI if prefers_vi() else EditingMode.EMACS,
            enable_open_in_editor=True,
            tempfile_suffix=".md",
            **streams,
        )
        if os.environ.get("NO_COLOR"):
            self._session.app.style = None

    def read(self, draft: str) -> str:
        """The next question. Raises EOFError at the end, KeyboardInterrupt when one is given up."""
        return self._session.prompt(default=draft)

    def keys(self, name: str) -> None:
        self._session.editing_mode = EditingMode.VI if name == "vi" else EditingMode.EMACS

    def refresh(self) -> None:
        """Draw the toolbar anew. From any thread."""
        self._session.app.invalidate()

    def _columns(self) -> int:
        return self._session.app.output.get_size().columns


def _bindings() -> KeyBindings:
    """Enter sends; what is pasted arrives as text, whatever is in it."""
    bindings = KeyBindings()
    writing = has_focus(DEFAULT_BUFFER)  # not the line in which the history is searched

    @bindings.add("enter", filter=writing)
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter", filter=writing)
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    @bindings.add("c-d", filter=writing)
    def _end(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.delete()
        else:
            event.app.exit(exception=EOFError)

    return bindings
