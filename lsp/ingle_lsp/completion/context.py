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
from typing import Literal

__all__ = ["Encoding", "Hole", "edited", "hole_at", "index_in", "name_in", "units"]

Encoding = Literal["utf-8", "utf-16", "utf-32"]
Place = tuple[int, int]
"""A line and a column, as the editor counts them."""

_PREFIX_LINES, _PREFIX_CHARACTERS = 256, 32_768
_SUFFIX_LINES, _SUFFIX_CHARACTERS = 64, 8_192  # the characters bound a file that has no lines to speak of
_BLOCK_LINES, _BLOCK_CHARACTERS = 64, 8_192
_STRIDE = 65_536
"""Characters whose line ends are counted at once."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Hole:
    """A document with a hole at the cursor."""

    before: str
    after: str

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
        above = _line_ends(self.before)
        first = _next_block(above + 1 - min(at_hand, _PREFIX_LINES), _BLOCK_LINES)
        if first <= above:
            return _encodable("".join(lines[first - above - 1 :]))
        return _encodable(self.before[_next_block(len(self.before) - _PREFIX_CHARACTERS, _BLOCK_CHARACTERS) :])

    @property
    def suffix(self) -> str:
        """As much of `after` as a prompt gets."""
        lines = _LINE.finditer(self.after[:_SUFFIX_CHARACTERS])
        return _encodable("".join(line[0] for line in islice(lines, _SUFFIX_LINES)))


def hole_at(source: str, line: int, character: int, encoding: Encoding) -> Hole:
    """The hole at an editor's position; past the end of its line, or of the text, it is at that end."""
    cursor = _offset(source, _line_start(source, line), character, encoding)
    return Hole(source[:cursor], source[cursor:])


def edited(source: str, start: Place, end: Place, text: str, encoding: Encoding) -> str:
    """`source` with `text` in the place of what is from `start` to `end`."""
    first = _line_start(source, start[0])
    last = _line_start(source, end[0] - start[0], first)
    return (
        source[: _offset(source, first, start[1], encoding)] + text + source[_offset(source, last, end[1], encoding) :]
    )


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


def _line_start(source: str, line: int, start: int = 0) -> int:
    """Where the line begins that is `line` lines below the one at `start`; the last one where there are fewer."""
    if "\r" in source:
        for end in islice(_LINE_END.finditer(source, start), line):
            start = end.end()
        return start
    while line and (found := source.count("\n", start, start + _STRIDE)) < line and start + _STRIDE < len(source):
        line -= found
        start += _STRIDE
    for _ in range(line):
        at = source.find("\n", start)
        if at < 0:
            return source.rfind("\n") + 1
        start = at + 1
    return start


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
