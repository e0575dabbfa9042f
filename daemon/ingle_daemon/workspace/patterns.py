"""Git's patterns, matched in a time that a stranger's pattern cannot multiply.

A regular expression tries every way to share a name out among its wildcards: `*a*a*a*a*b` against a hundred times `a`
takes seconds, and no other thread runs meanwhile. But of a wildcard that another one follows, only the first fit of
what stands between them need be looked at: a later one leaves the rest less. So each such piece is matched once and for
all. This module knows how pathspec writes expressions, not what is ignored.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

__all__ = ["Pattern"]

_FOLDERS = re.compile(r"(\(\?:/\.\+\)\?/|\(\?:\.\+/\)\?)")  # of `**`: between two names, before the first one
_CHARACTERS = re.compile(r"((?:\[\^/\]\*)+)")  # of `*`. Neither can be spelled in a pattern: names have no slash


class Pattern(GitIgnoreSpecPattern):
    """One line of an ignore file. Raises GitIgnorePatternError where git takes it for none."""

    @classmethod
    def pattern_to_regex(cls, pattern: str | bytes) -> tuple[str | bytes | None, bool | None]:  # type: ignore[override]
        expression, include = super().pattern_to_regex(pattern)
        return _bounded(expression) if isinstance(expression, str) else expression, include


def _bounded(expression: str) -> str:
    """The same, without a way back into what has been matched before the last wildcard of each kind."""
    number = itertools.count()
    first, *rest = _FOLDERS.split(expression)
    pieces = [_once_each(first, number)]
    for folders, piece in itertools.zip_longest(rest[::2], rest[1::2]):
        pieces.append(folders + _once_each(piece, number))
    *others, last = pieces
    return "".join([*others[:1], *(_once(f"{_lazy(piece)}(?=/)", number) for piece in others[1:]), last])


def _once_each(piece: str, number: Iterator[int]) -> str:
    first, *rest = _CHARACTERS.split(piece)
    parts = [f"[^/]*{fixed}" for fixed in rest[1::2]]
    return "".join([first, *(_once(_lazy(part), number) for part in parts[:-1]), *parts[-1:]])


def _lazy(part: str) -> str:
    """Which takes as little as it can."""
    for greedy, lazy in (("(?:/.+)?", "(?:/.+?)??"), ("(?:.+/)?", "(?:.+?/)??"), ("[^/]*", "[^/]*?")):
        if part.startswith(greedy):
            return lazy + part.removeprefix(greedy)
    return part


def _once(part: str, number: Iterator[int]) -> str:
    """What a lookahead has found is not looked for again."""
    name = f"once{next(number)}"
    return f"(?=(?P<{name}>{part}))(?P={name})"
