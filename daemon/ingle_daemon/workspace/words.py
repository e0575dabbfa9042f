"""The words by which code is found again: identifiers, and what they are made of. Pure.

`HTTPServer_port` gives httpserver_port, http, server, port. The same text gives the same words in the index and in a
query, and a word holds letters, digits and underscores only.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["RULES", "words_of"]

RULES = 1
"""Count it up when the same text gives other words than before: what was indexed by the old rules must go."""

_IDENTIFIER = re.compile(r"[^\W\d]\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+")
_SHORTEST, _LONGEST = 2, 48


def words_of(text: str) -> list[str]:
    """Every word of `text` once, in order of appearance."""
    return list(dict.fromkeys(word for name in dict.fromkeys(_IDENTIFIER.findall(text)) for word in _words(name)))


@lru_cache(maxsize=8_192)
def _words(identifier: str) -> tuple[str, ...]:
    whole = identifier.strip("_")
    parts = _PART.findall(whole)
    words = (whole, *parts) if len(parts) > 1 else (whole,)
    return tuple(word.lower() for word in words if _SHORTEST <= len(word) <= _LONGEST)
