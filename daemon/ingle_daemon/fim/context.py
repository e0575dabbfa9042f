"""Which pieces of other files go into a completion's prompt, and in which order. Pure.

Context stands before the file's own text: a piece that comes, goes or moves has all that follows evaluated anew. What
was chosen once therefore stays where it is for as long as it is worth something, and new pieces come after it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from ingle_daemon.protocol import ContextPiece

__all__ = ["MOST_CHARACTERS", "merged", "names_near", "text_near"]

MOST_CHARACTERS = 3_000
"""Of context in a prompt: about 900 tokens of code."""
_LINES_BEFORE, _LINES_AFTER = 40, 10
_MOST_NAMES = 24
_NAME = re.compile(r"[^\W\d]\w{2,}")


def names_near(prefix: str, suffix: str) -> list[str]:
    """Names used near the cursor, the nearest first; those of the import lines of the file come last."""
    before = prefix.splitlines()
    near = [*reversed(before[-_LINES_BEFORE:]), *suffix.splitlines()[:_LINES_AFTER]]
    imported = [line for line in before if re.match(r"\s*(?:import|from|use|#include|require)\b", line)]
    names = (name for line in (*near, *imported) for name in _NAME.findall(line))
    return list(dict.fromkeys(name for name in names if not keyword.iskeyword(name)))[:_MOST_NAMES]


def text_near(prefix: str) -> str:
    """The text whose like is looked for in other files."""
    return "\n".join(prefix.splitlines()[-_LINES_BEFORE // 2 :])


def merged(kept: Iterable[ContextPiece], found: Iterable[ContextPiece]) -> tuple[ContextPiece, ...]:
    """`kept` as it stands with what is new in `found` behind it.

    Where that is too much, the oldest go, down to half of it at once: to drop one piece costs as much as to drop many.
    """
    pieces = list(kept)
    pieces += [piece for piece in dict.fromkeys(found) if not any(_holds(known, piece) for known in pieces)]
    if _size(pieces) <= MOST_CHARACTERS:
        return tuple(pieces)
    while pieces and _size(pieces) > MOST_CHARACTERS // 2 and len(pieces) > 1:
        del pieces[0]
    return tuple(pieces)


def _holds(known: ContextPiece, piece: ContextPiece) -> bool:
    return known.filename == piece.filename and piece.text in known.text


def _size(pieces: Iterable[ContextPiece]) -> int:
    return sum(len(piece.text) for piece in pieces)
