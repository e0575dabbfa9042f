"""How a text of ours lies on a terminal: broken at spaces, and what follows a break below what it belongs to. Pure.

Only lines that are too long are touched. This module knows columns; it knows no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["Verbatim", "cells", "cut", "laid_out"]

_BELOW_LABEL = 4
_WORD = re.compile(r"(\s*)((?:`[^`]*`|\S)+)")
_LABEL = re.compile(r"\s*\S+(?: \S+)*\s{2,}(?=\S)")


class Verbatim(str):
    """What is laid out already, or is to be copied as it is: the terminal breaks it where it must."""

    __slots__ = ()


def cells(text: str) -> int:
    """How many columns a text takes: a wide character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # its import takes a while, and most lines do not need it

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """The beginning of a text that is too long for so many columns, with what says so; any other as it is."""
    if cells(text) <= columns:
        return text
    while cells(text) >= columns:
        text = text[:-1]
    return f"{text}…"


def laid_out(text: str, columns: int, *, flat: int = 4, deeper: int = 0) -> str:
    """`text`, its long lines broken at spaces.

    What follows a break stands below the text behind the line's label (what two spaces end). Without a label it is
    indented by `flat`, so that it stands deeper than a hint, or `deeper` than its line where that is indented. What
    stands in backquotes, a command or a path, is kept together where it fits a line. A word that fits none is left to
    the terminal: so it is copied in one piece.
    """
    lines, label = list[str](), 0
    for line in text.split("\n"):
        label = _label(line, label)
        lines += _lines(line, label, columns, flat=flat, deeper=deeper)
    return "\n".join(lines)


def _label(line: str, above: int) -> int:
    """Where the text behind the line's label begins, 0 where it has none. One may be as long as its column is wide."""
    if found := _LABEL.match(line):
        return found.end()
    return above if above and line.find(" ") == above - 1 else 0


def _lines(line: str, label: int, columns: int, *, flat: int, deeper: int) -> list[str]:
    """The lines of one; a label that would leave its text no room stands above it."""
    indent = len(line) - len(line.lstrip(" "))
    below = cells(line[:label])
    if below > columns:  # no label: a sentence, and space before another
        below = 0
    elif below > columns // 2 and cells(line) > columns:
        head, text = line[:label].rstrip(), " " * (indent + _BELOW_LABEL) + line[label:]
        return [*_broken(head, indent, columns), *_broken(text, indent + _BELOW_LABEL, columns)]
    hanging = below or (indent + deeper if indent else flat)
    return _broken(line, min(hanging, columns // 2), columns)


def _broken(line: str, hanging: int, columns: int) -> list[str]:
    if cells(line) <= columns:
        return [line]
    end = line[len(line.rstrip()) :]  # behind a question stands the cursor
    lines, taken = [""], 0
    for gap, word in _words(line.rstrip(), columns - hanging):
        width = cells(word)
        if lines[-1] and taken + len(gap) > hanging and taken + len(gap) + width > columns:
            lines.append(" " * hanging + word)
            taken = hanging + width
        else:
            lines[-1] += gap + word
            taken += len(gap) + width
    lines[-1] += end
    return lines


def _words(line: str, room: int) -> Iterator[tuple[str, str]]:
    """What is not broken, each with the space before it. What is longer than a line can be is taken apart if it can."""
    for gap, word in _WORD.findall(line):
        if cells(word) <= room:
            yield gap, word
        elif " " in word:
            first, *others = word.split(" ")
            yield gap, first
            yield from ((" ", other) for other in others)
        else:
            yield from zip([gap, *[""] * len(word)], _unspaced(word), strict=False)


def _unspaced(word: str) -> list[str]:
    """Wide characters may be parted from each other, as scripts without spaces are."""
    if word.isascii():
        return [word]
    pieces = [""]
    for character in word:
        if cells(character) == 2:
            pieces += [character, ""]
        else:
            pieces[-1] += character
    return [piece for piece in pieces if piece]
