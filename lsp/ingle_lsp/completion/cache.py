"""Completions that were made, kept for when the same place is asked about again, or what they say was typed. Pure.

This module knows documents by a key alone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ingle_lsp.completion.context import Hole

__all__ = ["Completed", "Completions"]

_KEPT = 100
_LOOK_BACK = 512
"""Characters that may have been typed since: no completion is longer."""
_AROUND = 2_048
"""Characters on either side of a cursor that tell one place from another."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A completion's text, and under which id the daemon knows it."""

    id: str
    text: str


class Completions:
    """The last hundred, the least recently used go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], Completed] = OrderedDict()

    def keep(self, key: str, hole: Hole, completed: Completed) -> None:
        """Remember the completion of `hole` in the document `key`."""
        place = (key, hole.before[-_AROUND:], hole.after[:_AROUND])
        self._kept[place] = completed
        self._kept.move_to_end(place)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def rest(self, key: str, hole: Hole) -> Completed | None:
        """What is left of a completion when nothing happened since but that its beginning was typed.

        The newest one that fits; with nothing typed, the whole of it.
        """
        after = hole.after[:_AROUND]
        for (document, before, following), completed in reversed(self._kept.items()):
            if document != key or following != after:
                continue
            typed = _typed_since(before, hole.before)
            if typed is not None and completed.text.startswith(typed) and len(completed.text) > len(typed):
                return Completed(completed.id, completed.text[len(typed) :])
        return None

    def forget(self, key: str) -> None:
        """The document `key` is closed."""
        for place in [place for place in self._kept if place[0] == key]:
            del self._kept[place]


def _typed_since(before: str, now: str) -> str | None:
    """What was typed between two states of the text before the cursor; None where it is not a continuation."""
    tail = now[-(_AROUND + _LOOK_BACK) :]
    whole = len(before) < _AROUND
    at = 0 if whole and tail.startswith(before) and len(now) <= _AROUND + _LOOK_BACK else tail.rfind(before)
    if at < 0 or (whole and at > 0) or (whole and len(now) - len(before) > _LOOK_BACK):
        return None
    typed = tail[at + len(before) :]
    return typed.replace("\r\n", "\n") if len(typed) <= _LOOK_BACK else None
