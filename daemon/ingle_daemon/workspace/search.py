"""Asking a workspace's index: where names are defined, and which pieces of code resemble a text.

It only reads, through a connection of its own for every question, so that it follows an index that is made anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingle_daemon.storage import connect
from ingle_daemon.workspace.reading import Found, read_below
from ingle_daemon.workspace.words import words_of

__all__ = ["Search", "Snippet"]

_MOST_NAMES = 200
_MOST_WORDS = 200
_BEST_WORDS = 32
"""Enough that some are in other files too: the rarest are often those that the text's own file made up."""
_MOST_HITS = 1_500
"""Pieces that a question may weigh: about a microsecond each."""
_COMMON = 1_000
"""Pieces: a word that is in more of them tells little."""
_MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a file in the workspace; `line` counts from 1, and of two scores the higher one is the better."""

    path: str
    line: int
    text: str
    source: Literal["definition", "similar"]
    score: float


class Search:
    """The questions about one index."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._common: set[str] = set()
        """Words found to be everywhere. Counting them is what a question would cost most, and they stay so."""

    def definitions(self, names: Sequence[str], *, limit: int, not_in: str = "") -> list[Snippet]:
        """The heads of what is called so, in the order of the names; for each, first what lies nearest to `not_in`.

        A name's definitions share a score of one: where many things have the name, each of them tells little.
        """
        found: list[Snippet] = []
        with contextlib.closing(connect(self._database)) as connection:
            for name in list(dict.fromkeys(names))[:_MOST_NAMES]:
                rows = connection.execute(
                    "SELECT path, line, signature FROM symbols JOIN files ON files.id = symbols.file"
                    " WHERE name = ? AND path != ? LIMIT 50",
                    (name, not_in),
                ).fetchall()
                rows.sort(key=lambda row: (-_shared(row[0], not_in), row[0], row[1]))
                found += [Snippet(path, line, text, "definition", 1 / len(rows)) for path, line, text in rows]
                if len(found) >= limit:
                    break
        return found[:limit]

    def whole(self, root: Path, name: str, *, limit: int) -> list[Snippet]:
        """The definitions of `name` from their first line to their last, as the files below `root` have them now."""
        with contextlib.closing(connect(self._database)) as connection:
            rows = connection.execute(
                "SELECT path, line, end FROM symbols JOIN files ON files.id = symbols.file WHERE name = ?"
                " ORDER BY path, line LIMIT ?",
                (name, limit),
            ).fetchall()
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return [
                Snippet(path, line, text, "definition", 1 / len(rows))
                for path, line, end in rows
                if (text := _lines_of(read_below(folder, path), line, end))
            ]
        finally:
            os.close(folder)

    def similar(self, text: str, *, limit: int, not_in: str = "") -> list[Snippet]:
        """The pieces that share the rarest words with `text`, by BM25."""
        with contextlib.closing(connect(self._database)) as connection:
            words = self._telling(connection, words_of(text))
            if not words:
                return []
            rows = connection.execute(
                "SELECT path, line, chunks.text, -hits.rank FROM"
                " (SELECT rowid, rank FROM words WHERE words MATCH ? AND rowid NOT IN"
                "   (SELECT id FROM chunks WHERE file = (SELECT id FROM files WHERE path = ?))"
                "  ORDER BY rank LIMIT ?) AS hits"
                " JOIN chunks ON chunks.id = hits.rowid JOIN files ON files.id = chunks.file ORDER BY hits.rank",
                (_query(words), not_in, limit),
            )
            return [Snippet(path, line, piece, "similar", score) for path, line, piece, score in rows]

    def _telling(self, connection: sqlite3.Connection, words: Sequence[str]) -> list[str]:
        """The rarest of `words`, as many as a question may cost."""
        asked = [word for word in words if word not in self._common][:_MOST_WORDS]
        counted: list[tuple[str, int]] = connection.execute(
            f"SELECT term, doc FROM frequencies WHERE term IN ({','.join('?' * len(asked))})",  # noqa: S608
            asked,
        ).fetchall()
        if len(self._common) > _MOST_REMEMBERED:
            self._common.clear()
        self._common.update(word for word, pieces in counted if pieces > _COMMON)
        chosen: list[str] = []
        hits = 0
        for word, pieces in sorted(counted, key=lambda row: row[1]):
            hits += pieces
            if pieces > _COMMON or len(chosen) == _BEST_WORDS or hits > _MOST_HITS:
                break
            chosen.append(word)
        return chosen


def _lines_of(found: Found | None, first: int, last: int) -> str:
    lines = found.data.decode("utf-8", "replace").splitlines() if found and found.data else []
    return "\n".join(lines[first - 1 : last])


def _query(words: Sequence[str]) -> str:
    """A string is a string to FTS5 whatever it holds, and a word holds no quote."""
    return " OR ".join(f'"{word}"' for word in words)


def _shared(path: str, other: str) -> int:
    """How many folders the two have in common."""
    ours, theirs = path.split("/")[:-1], other.split("/")[:-1]
    return next(
        (depth for depth, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
