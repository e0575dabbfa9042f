"""Completions that were made, kept for when the same place is asked about again, or what they say was typed. Pure.

This module knows documents by a key alone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from ingle_daemon.protocol import Outcome
from ingle_lsp.completion.closers import left_open, put_in, replaced
from ingle_lsp.completion.context import Hole

__all__ = ["Completed", "Completions"]

_KEPT = 100
_LOOK_BACK = 512
"""Characters that may have been typed since: no completion is longer."""
_AROUND = 2_048
"""Characters on either side of a cursor that tell one place from another."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A completion's text, and under which id the daemon knows it. `made`: what to tell of it once it is seen.

    Since it was made, what was typed of it has `opened` what these would close, and the editor put `closers` behind the
    cursor by itself.
    """

    id: str
    text: str
    made: Outcome | None = None
    opened: str = ""
    closers: str = ""

    @property
    def replaced(self) -> str:
        """The closers that the text brings itself: it takes their place."""
        return replaced(self.text, self.opened, self.closers)

    @property
    def adds(self) -> bool:
        """Whether it says anything that does not stand there."""
        return self.text.strip() != self.replaced


class Completions:
    """The last hundred, the least recently used go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], tuple[Completed, ...]] = OrderedDict()

    def keep(self, key: str, hole: Hole, *choices: Completed) -> None:
        """Remember the completions of `hole` in the document `key`, the best first."""
        place = (key, hole.before[-_AROUND:], hole.after[:_AROUND])
        self._kept[place] = choices
        self._kept.move_to_end(place)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def rests(self, key: str, hole: Hole) -> list[Completed]:
        """What is left of a place's completions when nothing happened since but that their beginning was typed.

        An editor may have closed by itself what was opened so. Those of the newest place that has any; with nothing
        typed, the whole of them.
        """
        for (document, before, following), choices in reversed(self._kept.items()):
            typed = _typed_since(before, hole.before) if document == key else None
            if typed is None:
                continue
            closers = put_in(typed, following, hole.after)
            if closers is None:
                continue
            fitting = [one for one in choices if one.text.startswith(typed) and len(one.text) > len(typed)]
            if fitting:
                return [_rest(one, typed, closers) for one in fitting]
        return []

    def forget(self, key: str) -> None:
        """The document `key` is closed."""
        for place in [place for place in self._kept if place[0] == key]:
            del self._kept[place]


def _rest(completed: Completed, typed: str, closers: str) -> Completed:
    """What is left of a completion when this was typed of it, and these closers came with that."""
    return replace(
        completed,
        text=completed.text[len(typed) :],
        opened=left_open(typed) + completed.opened,
        closers=closers + completed.closers,
    )


def _typed_since(before: str, now: str) -> str | None:
    """What was typed between two states of the text before the cursor; None where it is not a continuation."""
    tail = now[-(_AROUND + _LOOK_BACK) :]
    whole = len(before) < _AROUND
    at = 0 if whole and tail.startswith(before) and len(now) <= _AROUND + _LOOK_BACK else tail.rfind(before)
    if at < 0 or (whole and at > 0) or (whole and len(now) - len(before) > _LOOK_BACK):
        return None
    typed = tail[at + len(before) :]
    return typed.replace("\r\n", "\n") if len(typed) <= _LOOK_BACK else None
