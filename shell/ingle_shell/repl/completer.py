"""What Tab offers: commands, models, files, and names from the conversation. It asks the daemon for models only."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from ingle_shell.render import plain
from ingle_shell.repl.commands import COMMANDS

__all__ = ["DialogueCompleter"]

_FILE_COMMANDS = ("/file ", "/save ")
_SYMBOL = re.compile(r"[^\W\d][\w.]{3,}")
_MOST = 50


class DialogueCompleter(Completer):
    """`said` is the text that symbols are taken from, `models` the names of those installed."""

    def __init__(self, said: Callable[[], str], models: Callable[[], Iterable[str]]) -> None:
        self._said = said
        self._models = models

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        text = document.text_before_cursor
        word = re.split(r"\s", text)[-1]
        if text.startswith("/") and " " not in text:
            yield from _matching(text, (f"/{name}" for name in COMMANDS))
        elif text.startswith("/model "):
            yield from _matching(word, self._models())
        elif text.startswith(_FILE_COMMANDS):
            yield from _matching(word, _files(word))
        elif word.startswith("@"):
            yield from _matching(word, (f"@{name}" for name in _files(word[1:])))
        elif word:
            yield from _matching(word, dict.fromkeys(_SYMBOL.findall(self._said())))


def _matching(word: str, names: Iterable[str]) -> Iterator[Completion]:
    found = [name for name in names if name.startswith(word) and name != word and plain(name) == name]
    for name in found[:_MOST]:
        yield Completion(name, -len(word))


def _files(begin: str) -> list[str]:
    """The entries of the folder that `begin` is in, folders with a slash; hidden ones where a dot was typed."""
    folder, _, name = begin.rpartition("/")
    shown = f"{folder}/" if "/" in begin else ""
    try:
        with os.scandir(os.path.expanduser(shown) or ".") as entries:  # noqa: PTH111 - "" is not "."
            return sorted(
                f"{shown}{entry.name}{'/' if entry.is_dir() else ''}"
                for entry in entries
                if name.startswith(".") or not entry.name.startswith(".")
            )
    except OSError:
        return []  # there is no such folder: there is nothing to offer
