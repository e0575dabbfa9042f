"""Which pieces of other files go into a completion's prompt, and in which order. Pure.

Context stands before the file's own text: a piece that comes, goes or moves has all that follows evaluated anew. What
was chosen once therefore stays where it is for as long as it is worth something, and new pieces come after it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from ingle_daemon.protocol import ContextPiece

__all__ = ["MOST_CHARACTERS", "merged", "names_near", "text_near", "without_what_is_in_sight"]

MOST_CHARACTERS = 3_000
"""Of context in a prompt: about 900 tokens of code."""
_LINES_BEFORE, _LINES_AFTER = 40, 10
_MOST_NAMES = 24
_IN_SIGHT = 0.5
"""A piece of whose lines the file has more is left out; llama.vim's measure."""
_THE_SAME = 0.9
"""Two pieces that are more alike are states of one."""
_TELLING = 3
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


def without_what_is_in_sight(pieces: Iterable[ContextPiece], prefix: str, suffix: str) -> list[ContextPiece]:
    """The pieces that the file itself does not say mostly: a model repeats what it has read twice."""
    seen = _lines(prefix) | _lines(suffix)
    return [piece for piece in pieces if _share(_lines(piece.text), seen) <= _IN_SIGHT]


def merged(kept: Iterable[ContextPiece], found: Iterable[ContextPiece]) -> tuple[ContextPiece, ...]:
    """`kept` as it stands with what is new in `found` behind it.

    A newer state of the same piece takes its place, at the end. What was wrong and is not any more goes. Where that is
    too much, the oldest go, down to half of it at once: to drop one piece costs as much as to drop many.
    """
    new = list(dict.fromkeys(found))
    pieces = [piece for piece in kept if piece in new or not (_passes(piece) or _has_newer(piece, new))]
    pieces += [piece for piece in new if not any(_holds(known, piece) for known in pieces)]
    if _size(pieces) <= MOST_CHARACTERS:
        return tuple(pieces)
    while pieces and _size(pieces) > MOST_CHARACTERS // 2 and len(pieces) > 1:
        del pieces[0]
    return tuple(pieces)


def _passes(piece: ContextPiece) -> bool:
    """Whether it is worth nothing once nobody says it any more."""
    return piece.source == "diagnostics"


def _has_newer(piece: ContextPiece, new: Iterable[ContextPiece]) -> bool:
    lines = _lines(piece.text)
    return any(other.filename == piece.filename and _alike(lines, _lines(other.text)) > _THE_SAME for other in new)


def _alike(a: set[str], b: set[str]) -> float:
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


def _share(part: set[str], whole: set[str]) -> float:
    return len(part & whole) / len(part) if part else 0.0


def _lines(text: str) -> set[str]:
    """The lines that say something; a bracket alone does not."""
    return {line for line in map(str.strip, text.splitlines()) if len(line) > _TELLING}


def _holds(known: ContextPiece, piece: ContextPiece) -> bool:
    return known.filename == piece.filename and piece.text in known.text


def _size(pieces: Iterable[ContextPiece]) -> int:
    return sum(len(piece.text) for piece in pieces)
