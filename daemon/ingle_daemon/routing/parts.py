"""A document that is too large, cut into parts: where the question in it stands, where the cuts go, which parts matter.

Pure but for the scratch database in memory that SQLite ranks with. It knows characters and lines, no tokens, no model.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Sequence

__all__ = ["cut", "halves", "most_like", "question_in"]

_LONGEST_QUESTION = 2_000
"""Characters: a last paragraph that is longer belongs to the document."""
_WORD = re.compile(r"\w{3,}")
_MOST_WORDS = 40


def question_in(text: str) -> tuple[str, str]:
    """The document and the question: what was piped in comes first, and the question is the last paragraph."""
    document, _, question = text.rstrip().rpartition("\n\n")
    if not document or len(question) > _LONGEST_QUESTION:
        return text, ""
    return document, question.strip()


def cut(text: str, characters: int) -> list[str]:
    """Parts of at most so many characters that make up the whole text again, ended by lines where they can be."""
    parts = []
    while len(text) > characters:
        line = text.rfind("\n", 0, characters) + 1
        end = line if line > characters // 2 else characters
        parts.append(text[:end])
        text = text[end:]
    return [*parts, text] if text else parts


def halves(text: str) -> list[str]:
    """The text in two."""
    return cut(text, max(-(-len(text) // 2), 1))


def most_like(question: str, parts: Sequence[str], count: int) -> list[int]:
    """The `count` parts that have most to do with the question (BM25 over its words), in the document's order.

    Parts that share no word with it come last, the earlier first.
    """
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(question)))[:_MOST_WORDS]
    ranked = _ranked(words, parts) if words else []
    rest = [number for number in range(len(parts)) if number not in set(ranked)]
    return sorted([*ranked, *rest][:count])


def _ranked(words: Sequence[str], parts: Sequence[str]) -> list[int]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE VIRTUAL TABLE part USING fts5(text, tokenize = 'porter unicode61')")
        database.executemany("INSERT INTO part(rowid, text) VALUES (?, ?)", enumerate(parts))
        query = " OR ".join(f'"{word}"' for word in words)
        rows = database.execute("SELECT rowid FROM part WHERE part MATCH ? ORDER BY bm25(part)", (query,))
        return [number for (number,) in rows]
