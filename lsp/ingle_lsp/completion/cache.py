"""The last completion, kept for as long as the user types what it says. Pure.

One is enough: whoever types moves in one place, and a longer memory pays only once completions are made
ahead of time. This module knows documents by a key alone.
"""

from __future__ import annotations

from ingle_lsp.completion.context import Hole

__all__ = ["LastCompletion"]


class LastCompletion:
    """Remembers one completion, and what is left of it after some of it was typed."""

    def __init__(self) -> None:
        self._key = ""
        self._hole = Hole("", "")
        self._text = ""

    def keep(self, key: str, hole: Hole, text: str) -> None:
        """Remember `text` as the completion of `hole` in the document `key`."""
        self._key, self._hole, self._text = key, hole, text

    def rest(self, key: str, hole: Hole) -> str:
        """What is left of it when nothing happened since but that its beginning was typed; otherwise ""."""
        before = self._hole.before
        if key != self._key or hole.after != self._hole.after or not hole.before.startswith(before):
            return ""
        typed = hole.before[len(before) :].replace("\r\n", "\n")
        return self._text[len(typed) :] if self._text.startswith(typed) else ""

    def forget(self, key: str) -> None:
        """The document `key` is closed."""
        if key == self._key:
            self.keep("", Hole("", ""), "")
