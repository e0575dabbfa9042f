"""Where the cursor stands: what is before it, what is after it, and under which name the file is known. Pure.

Lines end at LF, CRLF and CR and nowhere else, and columns are counted in the units that the editor
negotiated, both as LSP defines them. The text itself is kept as it is, line ends included. This module knows
no LSP type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import Literal, NamedTuple

__all__ = [
    "TOP",
    "Edited",
    "Encoding",
    "Hole",
    "Landmark",
    "edited",
    "hole_at",
    "index_at",
    "index_in",
    "name_in",
    "units",
]

Encoding = Literal["utf-8", "utf-16", "utf-32"]
Place = tuple[int, int]
"""A line and a column, as the editor counts them."""

_PREFIX_LINES, _PREFIX_CHARACTERS = 256, 32_768
_SUFFIX_LINES, _SUFFIX_CHARACTERS = 64, 8_192  # the characters bound a file that has no lines to speak of
_BLOCK_LINES, _BLOCK_CHARACTERS = 64, 8_192
_KEPT_BEFORE, _KEPT_AFTER = 32_768, 16_384
"""Characters: a hole has that much before it, and up to twice as much, so that its beginning seldom moves. It is a
multiple of the block."""
_STRIDE = 65_536
"""Characters whose line ends are counted at once."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Landmark(NamedTuple):
    """A line of a document and the index at which it begins: lines are counted from there."""

    line: int
    start: int


TOP = Landmark(0, 0)


class Edited(NamedTuple):
    """A document after an edit, and the line that this began in."""

    source: str
    near: Landmark


@dataclass(frozen=True, slots=True)
class Hole:
    """A document with a hole at the cursor: what is around it, for a keystroke may not cost more in a longer file.

    `skipped` characters, which are `lines_skipped` lines, stand above `before`.
    """

    before: str
    after: str
    skipped: int = 0
    lines_skipped: int = 0

    @property
    def at(self) -> int:
        """The cursor's index in the document."""
        return self.skipped + len(self.before)

    def follows(self, earlier: Hole, text: str) -> bool:
        """The cursor stands where it would once `text` was put into `earlier`, and behind the same."""
        near = self.before[-_KEPT_BEFORE:]
        return self.at == earlier.at + len(text) and (earlier.before + text).endswith(near)

    @property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before[max(self.before.rfind("\n"), self.before.rfind("\r")) + 1 :]

    @property
    def line_after(self) -> str:
        """The rest of the cursor's line, without its end."""
        return _LINE_END.split(self.after, maxsplit=1)[0]

    @property
    def indent(self) -> int:
        """How many white-space characters the cursor's line begins with."""
        line = self.line_before
        return len(line) - len(line.lstrip())

    @property
    def prefix(self) -> str:
        """As much of `before` as a prompt gets. It begins at a multiple of a block of lines, counted from the top.

        What has moved in a prompt's head must be evaluated anew with all that follows: a window that moved with every
        line would throw the engine's cache away at every return key.
        """
        lines = _lines(self.before[-_PREFIX_CHARACTERS:])
        whole = len(self.before) <= _PREFIX_CHARACTERS
        at_hand = len(lines) if whole else len(lines) - 1  # the first one may be cut
        above = self.lines_skipped + _line_ends(self.before)
        first = _next_block(above + 1 - min(at_hand, _PREFIX_LINES), _BLOCK_LINES)
        if first <= above:
            return _encodable("".join(lines[first - above - 1 :]))
        return _encodable(self.before[_next_block(len(self.before) - _PREFIX_CHARACTERS, _BLOCK_CHARACTERS) :])

    @property
    def suffix(self) -> str:
        """As much of `after` as a prompt gets."""
        lines = _LINE.finditer(self.after[:_SUFFIX_CHARACTERS])
        return _encodable("".join(line[0] for line in islice(lines, _SUFFIX_LINES)))


def hole_at(source: str, line: int, character: int, encoding: Encoding, near: Landmark = TOP) -> Hole:
    """The hole at an editor's position; past the end of its line, or of the text, it is at that end."""
    at = _landmark(source, line, near)
    cursor = _offset(source, at.start, character, encoding)
    skipped = max(cursor // _KEPT_BEFORE - 1, 0) * _KEPT_BEFORE
    before = source[skipped:cursor]
    lines_skipped = at.line - _line_ends(before) if skipped else 0
    return Hole(before, source[cursor : cursor + _KEPT_AFTER], skipped, lines_skipped)


def index_at(source: str, line: int, character: int, encoding: Encoding) -> int:
    """The index of an editor's position; past the end of its line, or of the text, it is that end."""
    return _offset(source, _landmark(source, line, TOP).start, character, encoding)


def edited(source: str, start: Place, end: Place, text: str, encoding: Encoding, near: Landmark = TOP) -> Edited:
    """`source` with `text` in the place of what is from `start` to `end`."""
    first = _landmark(source, start[0], near)
    last = _landmark(source, end[0], first)
    head = source[: _offset(source, first.start, start[1], encoding)]
    return Edited("".join((head, text, source[_offset(source, last.start, end[1], encoding) :])), first)


def units(text: str, encoding: Encoding) -> int:
    """How many of the editor's units `text` takes."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def name_in(roots: Iterable[str], path: str) -> tuple[str, str, str]:
    """The file's name inside the innermost folder that holds it, that folder's name and its path ("" without one)."""
    file = PurePath(path)
    holding = [root for root in map(PurePath, roots) if file.is_relative_to(root)]
    if not holding:
        return file.name, "", ""
    root = max(holding, key=lambda folder: len(folder.parts))
    return file.relative_to(root).as_posix(), root.name, str(root)


def index_in(text: str, character: int, encoding: Encoding) -> int:
    """The index in `text` of an editor's column; a column inside a character stands before it."""
    head = text[:character]  # a character takes one unit or more, so that the cursor cannot be further right
    taken = 0
    for index, char in enumerate(head if units(head, encoding) > len(head) else ""):
        taken += units(char, encoding)
        if taken > character:
            return index
    return len(head)


def _offset(source: str, line_start: int, character: int, encoding: Encoding) -> int:
    """The index in `source` of a column of the line that begins at `line_start`; at most that line's end."""
    rest = _LINE_END.search(source, line_start)
    content = source[line_start : rest.start() if rest else len(source)]
    return line_start + index_in(content, character, encoding)


def _landmark(source: str, line: int, near: Landmark) -> Landmark:
    """Where a line begins, looked for from `near` if that is closer than the top; the last line for one behind it."""
    # Behind a lone CR what is typed may be the LF to it, and the line begins one character further.
    if source[near.start - 1 : near.start] == "\r":
        return _down(source, line, TOP)
    if near.line <= line:
        return _down(source, line, near)
    return (near.line // 2 < line and _up(source, line, near)) or _down(source, line, TOP)


def _up(source: str, line: int, at: Landmark) -> Landmark | None:
    """The line above `at`; None where a CR is on the way."""
    start = at.start
    for _ in range(at.line - line):
        start = source.rfind("\n", 0, max(start - 1, 0)) + 1
    return None if source.find("\r", start, at.start) >= 0 else Landmark(line, start)


def _down(source: str, line: int, at: Landmark) -> Landmark:
    """The line below `at`, or the last one. What is not on the way is not looked at."""
    number, start = at
    while number < line and start < len(source):
        stop = start + _STRIDE
        if source.find("\r", start, stop) >= 0:
            return _down_slowly(source, line, Landmark(number, start))
        found = source.count("\n", start, stop)
        if number + found < line:
            number, start = number + found, stop
            continue
        for _ in range(line - number):
            start = source.find("\n", start) + 1
        return Landmark(line, start)
    return Landmark(number, max(source.rfind("\n", 0, start) + 1, at.start))


def _down_slowly(source: str, line: int, at: Landmark) -> Landmark:
    """The line below `at`, which need not begin there, or the last one, wherever lines end."""
    number, start = at
    for end in islice(_LINE_END.finditer(source, start), line - number):
        number, start = number + 1, end.end()
    return Landmark(number, start)


def _lines(text: str) -> list[str]:
    """Lines with their ends; the last one has none."""
    lines = _LINE.findall(text)  # after a line without an end it finds an empty one
    return lines[:-1] if len(lines) > 1 and text[-1] not in "\r\n" else lines


def _line_ends(text: str) -> int:
    ends = text.count("\n")
    return ends + text.count("\r") - text.count("\r\n") if "\r" in text else ends


def _next_block(at: int, block: int) -> int:
    return -(-at // block) * block


def _encodable(text: str) -> str:
    """`text` without the half characters that an editor may hold and that JSON readers refuse."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
