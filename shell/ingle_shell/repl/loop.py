"""The dialogue's loop: read a line, do what it says, show the answer while it comes, until there are no more lines.

An error ends an answer, never the dialogue. This module knows neither keys nor what commands there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Protocol

from ingle_daemon import paths
from ingle_daemon.client import call
from ingle_daemon.errors import IngleError, NoModel
from ingle_shell.answer import show
from ingle_shell.escalation import afterwards
from ingle_shell.keyboard import unechoed
from ingle_shell.options import Options
from ingle_shell.repl.chat import Chat
from ingle_shell.repl.commands import run_command
from ingle_shell.repl.terminal import restored_terminal
from ingle_shell.repl.toolbar import toolbar
from ingle_shell.screen import Screen

__all__ = ["Editor", "Loop"]

_STANDARD_INPUT = 0


class Editor(Protocol):
    """Reads questions. Raises EOFError at their end, KeyboardInterrupt when one is given up."""

    def read(self, draft: str) -> str: ...
    def keys(self, name: str) -> None: ...
    def refresh(self) -> None: ...


class Loop:
    """One dialogue, from its first prompt to Ctrl-D. It is the `Host` of the commands."""

    def __init__(self, options: Options, editor: Editor | None = None) -> None:
        self.chat = Chat(options, self.say)
        self._draft = ""
        self._plain = options.plain or os.environ.get("TERM", "dumb") == "dumb"
        self._screen = Screen()
        self._editor = editor or self._new_editor()

    def run(self) -> int:
        """The exit code."""
        with restored_terminal():
            threading.Thread(target=self.chat.look, args=(self._editor.refresh,), daemon=True).start()
            self.read_all()
        return 0

    def read_all(self) -> None:
        """Do what each line says, until Ctrl-D."""
        while True:
            draft, self._draft = self._draft, ""
            try:
                line = self._editor.read(draft)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if line.strip():
                self._do(line)

    # --- Host ---

    def say(self, text: str) -> None:
        self._screen.note(text)

    def ask(self, question: str) -> None:
        """Ask, and show the answer while it comes."""
        try:
            self._show(question)
        except NoModel as error:
            if error.code != NoModel.code:
                raise
            from ingle_shell.first_run import install_first_model

            install_first_model(error)
            self._show(question)

    def draft(self, text: str) -> None:
        self._draft = text

    def keys(self, name: str) -> None:
        self._editor.keys(name)

    # --- the rest ---

    def _do(self, line: str) -> None:
        try:
            if line.startswith("/"):
                run_command(self, line)
            else:
                self.ask(line.strip())
        except IngleError as error:
            self.say(str(error))
        except KeyboardInterrupt:
            self.say("\nstopped" + ("; what had come is kept" if self.chat.kept and self.chat.answer else ""))

    def _show(self, question: str) -> None:
        with unechoed(_STANDARD_INPUT):  # the next line may be typed already: its prompt will show it
            shown = show(self.chat.ask(question), self._new_screen())
        if again := afterwards(self.chat.request, shown):
            with unechoed(_STANDARD_INPUT):
                show(self.chat.ask_again(again), self._new_screen())

    def _new_screen(self) -> Screen:
        return Screen(markdown=not self._plain)  # rich is imported now, not before the prompt

    def _new_editor(self) -> Editor:
        folder = paths.private_dir(paths.state_dir())
        if self._plain:
            from ingle_shell.repl.plain import PlainEditor

            return PlainEditor(folder / "history.plain" if self.chat.kept else None)
        from ingle_shell.repl.completer import DialogueCompleter
        from ingle_shell.repl.prompt import RichEditor

        completer = DialogueCompleter(lambda: f"{self.chat.question} {self.chat.answer}", _installed)
        return RichEditor(completer, self._toolbar, folder / "history" if self.chat.kept else None)

    def _toolbar(self, columns: int) -> str:
        chat = self.chat
        return toolbar(chat.model, chat.route, chat.fit, chat.done, chat.cost, columns)


def _installed() -> Iterable[str]:
    try:
        return [model["name"] for model in call("GET", "/ingle/models", autostart=False)["installed"]]
    except IngleError:
        return []
