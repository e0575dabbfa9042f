"""Where the user was lately: pieces of files that were edited, visited or opened, and what is wrong with a file. Pure.

Positions come from requests and changes; near ones are one place, in which the user still is. A place is written down
when it is left, as it was then, and only where it was stayed in for a while: a rename across a file, or a search for
something, passes through. What is written down never changes and never moves, so that nothing that is typed at the
cursor changes what this has to say: it stands in front of a prompt, and would have all of that evaluated anew.

This module knows documents by their URI and their text. It knows no clock but the time that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ingle_daemon.protocol import ContextPiece

__all__ = ["File", "Problem", "Recent"]

_NEAR = 16
"""Lines between two positions of one place."""
_TALLEST = 48
"""Lines of a place. What touches more was not typed."""
_STAYED = 1.0
"""Seconds."""
_AROUND_EDIT, _AROUND_VISIT = 3, 12
_HEAD = 24
"""Lines of a file that was opened: its imports, mostly."""
_MOST_CHARACTERS = 6_000
"""Of all pieces. The daemon takes fewer into a prompt, and knows which."""
_PROBLEMS = 6
_LONGEST_MESSAGE = 160


@dataclass(frozen=True, slots=True)
class File:
    """A document as it is now, and under which name and in which workspace."""

    uri: str
    source: str
    filename: str
    root: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What an editor says is wrong: the line, from 0, and the message. `severity` 1 is an error, 2 a warning."""

    line: int
    message: str
    severity: int = 1


@dataclass(slots=True)
class _Place:
    """Where the user is: these lines, since then."""

    file: File
    first: int
    last: int
    since: float
    edited: bool


@dataclass(frozen=True, slots=True)
class _Note:
    """A piece that was written down, of this document and workspace."""

    uri: str
    root: str
    piece: ContextPiece


@dataclass(slots=True)
class Recent:
    """One editor's."""

    _here: _Place | None = None
    _notes: list[_Note] = field(default_factory=list)
    _problems: dict[str, tuple[Problem, ...]] = field(default_factory=dict)

    def at(self, file: File, first: int, last: int, now: float, *, edited: bool = False) -> None:
        """The user is, or has just changed something, in these lines."""
        here = self._here
        if here is None or here.file.uri != file.uri or not _near(here, first, last):
            self._leave(now)
            self._here = _Place(file, first, last, now, edited)
            return
        if edited and not here.edited:
            here.first, here.last, here.edited = first, last, True
        elif edited == here.edited:
            here.first, here.last = min(here.first, first), max(here.last, last)
        here.file = file

    def opened(self, file: File) -> None:
        """A document was opened."""
        self._note(file, ContextPiece(_lines(file.source, 0, _HEAD), file.filename, "open"))

    def closed(self, uri: str, now: float) -> None:
        """A document was closed. What was edited in it, or seen of it, still counts."""
        if self._here is not None and self._here.file.uri == uri:
            self._leave(now)
        self._notes = [note for note in self._notes if (note.uri, note.piece.source) != (uri, "open")]
        self._problems.pop(uri, None)

    def wrong_with(self, uri: str, problems: Iterable[Problem], *, within: tuple[int, int] | None = None) -> None:
        """What is wrong with a document; `within` says that only these lines, from and to, are spoken of."""
        first, last = within or (0, 1 << 31)
        others = [known for known in self._problems.get(uri, ()) if not first <= known.line <= last]
        self._problems[uri] = tuple(sorted({*others, *problems}, key=lambda problem: (problem.severity, problem.line)))

    def pieces(self, file: File, sources: Sequence[str]) -> tuple[ContextPiece, ...]:
        """What may help with a completion in a document, of these sources: the oldest first, what is wrong last."""
        noted = [
            note.piece
            for note in self._notes
            if note.root == file.root
            and note.piece.source in sources
            and not (note.uri == file.uri and note.piece.source == "open")
        ]
        problems = self._problems.get(file.uri, ())[:_PROBLEMS] if "diagnostics" in sources else ()
        if problems:
            text = "\n".join(_said(file, problem) for problem in problems)
            noted.append(ContextPiece(text, file.filename, "diagnostics"))
        return tuple(noted)

    def _leave(self, now: float) -> None:
        """Write down where the user was."""
        here, self._here = self._here, None
        if here is None or now - here.since < _STAYED:
            return
        around = _AROUND_EDIT if here.edited else _AROUND_VISIT
        text = _lines(here.file.source, here.first - around, here.last + around + 1)
        self._note(here.file, ContextPiece(text, here.file.filename, "edited" if here.edited else "visited"))

    def _note(self, file: File, piece: ContextPiece) -> None:
        """Behind all others. Where that makes too much, the oldest go, down to half of it at once."""
        if not piece.text.strip():
            return
        self._notes = [note for note in self._notes if note.uri != file.uri or note.piece.text != piece.text]
        self._notes.append(_Note(file.uri, file.root, piece))
        size = sum(len(note.piece.text) for note in self._notes)
        if size > _MOST_CHARACTERS:
            while size > _MOST_CHARACTERS // 2 and len(self._notes) > 1:
                size -= len(self._notes.pop(0).piece.text)


def _near(place: _Place, first: int, last: int) -> bool:
    """Whether these lines are in that place, or beside it, and both together not too tall."""
    tall = max(place.last, last) - min(place.first, first)
    return first <= place.last + _NEAR and last >= place.first - _NEAR and tall < _TALLEST


def _lines(source: str, first: int, end: int) -> str:
    """Those lines of a text."""
    return "\n".join(source.split("\n", end)[max(first, 0) : end])[: _MOST_CHARACTERS // 4]


def _said(file: File, problem: Problem) -> str:
    """A problem with the line that has it: its number would change with every line typed above."""
    lines = _lines(file.source, problem.line, problem.line + 1)
    message = " ".join(problem.message.split())[:_LONGEST_MESSAGE]
    return f"{message}: {lines.strip()}" if lines.strip() else message
