"""The index of one workspace on disk: SQLite, a full-text table over the pieces of its files, and their definitions.

One process writes at a time; anybody of the same user may read meanwhile (`search.py`). Every change is a transaction
that takes a file from one version to the next, so that a process killed at any moment leaves an older index, never a
wrong one. Whatever is wrong with the file itself, or with its version, is answered by starting anew: it is a cache.
This module decides neither which files are read nor when.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ingle_daemon.storage import is_damaged, remove_database, transaction
from ingle_daemon.workspace.chunks import Chunk, cut
from ingle_daemon.workspace.database import opened
from ingle_daemon.workspace.languages import is_data
from ingle_daemon.workspace.reading import Found, looks_written, read_below
from ingle_daemon.workspace.words import words_of

__all__ = ["Index", "Version", "indexed_text"]

Version = tuple[int, int]
"""A file's time of change in nanoseconds, and its size: the same pair means the same content."""

_BATCH = 64


class Index:
    """The writer's side. `root` is the workspace; every path is one below it, with slashes."""

    def __init__(self, database: Path, root: Path) -> None:
        self._database = database
        self._root = root
        self._connection = opened(database)
        try:
            self._files, self._chunks = self._counted()
        except sqlite3.DatabaseError as exc:
            if not is_damaged(exc):
                raise
            self.rebuild()

    def close(self) -> None:
        self._connection.close()

    def rebuild(self) -> None:
        """Throw everything away and begin with an empty index."""
        self._connection.close()
        remove_database(self._database)
        self._connection = opened(self._database)
        self._files = self._chunks = 0

    def known(self, path: str = "") -> dict[str, Version]:
        """Which version is indexed of each file at or below `path`."""
        execute = self._connection.execute
        columns = "SELECT path, mtime_ns, size FROM files"
        if path:
            # "0" comes after "/": between the two lie the paths that begin with "path/".
            below = f"{columns} WHERE path = ?1 UNION ALL {columns} WHERE path > ?1 || '/' AND path < ?1 || '0'"
            rows = execute(below, (path,))
        else:
            rows = execute(columns)
        return {path: (mtime_ns, size) for path, mtime_ns, size in rows}

    @property
    def count(self) -> tuple[int, int]:
        """Files and chunks."""
        return self._files, self._chunks

    def update(self, paths: Iterable[str], *, careful: bool = False) -> Iterator[None]:
        """Read these files again, a batch a transaction, with a pause for the caller after each.

        Those that are gone are forgotten. When `careful`, each file is first written down as an empty one: should it
        end this process, the next one passes it over.
        """
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            waiting = iter(paths)
            while batch := list(islice(waiting, 1 if careful else _BATCH)):
                found = [(path, read_below(root, path)) for path in batch]
                if careful:
                    self._replace([(path, file, []) for path, file in found])
                self._replace([(path, file, _pieces(path, file)) for path, file in found])
                yield
        finally:
            os.close(root)

    def remove(self, paths: Iterable[str]) -> None:
        waiting = iter(paths)
        while batch := list(islice(waiting, _BATCH)):
            self._replace([(path, None, []) for path in batch])

    def _counted(self) -> tuple[int, int]:
        count = "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM chunks)"
        files, chunks = self._connection.execute(count).fetchone()
        return files, chunks

    def _replace(self, files: list[tuple[str, Found | None, list[Chunk]]]) -> None:
        more_files = more_chunks = 0
        with transaction(self._connection):
            for path, found, chunks in files:
                forgotten = self._forget(path)
                more_files -= forgotten is not None
                more_chunks -= forgotten or 0
                if found is not None:
                    self._add(path, found, chunks)
                    more_files += 1
                    more_chunks += len(chunks)
        self._files += more_files
        self._chunks += more_chunks

    def _forget(self, path: str) -> int | None:
        """How many chunks the file had; None where it was not indexed."""
        execute = self._connection.execute
        row = execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        chunks = execute("SELECT id, text FROM chunks WHERE file = ?", row).fetchall()
        for chunk, text in chunks:
            # A table that keeps no text must be told which words to take out.
            execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (chunk, indexed_text(path, text)))
        execute("DELETE FROM chunks WHERE file = ?", row)
        execute("DELETE FROM symbols WHERE file = ?", row)
        execute("DELETE FROM files WHERE id = ?", row)
        return len(chunks)

    def _add(self, path: str, found: Found, chunks: list[Chunk]) -> None:
        execute = self._connection.execute
        file = execute(
            "INSERT INTO files (path, mtime_ns, size) VALUES (?, ?, ?)", (path, found.mtime_ns, found.size)
        ).lastrowid
        for chunk in chunks:
            row = execute(
                "INSERT INTO chunks (file, line, text) VALUES (?, ?, ?)", (file, chunk.line, chunk.text)
            ).lastrowid
            execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, indexed_text(path, chunk.text)))
            self._connection.executemany(
                "INSERT INTO symbols (name, file, line, end, kind, signature) VALUES (?, ?, ?, ?, ?, ?)",
                [(each.name, file, each.line, each.end, each.kind, each.signature) for each in chunk.symbols],
            )


def indexed_text(path: str, text: str) -> str:
    return " ".join(words_of(f"{path}\n{text}"))


def _pieces(path: str, found: Found | None) -> list[Chunk]:
    if found is None or found.data is None or is_data(path) or not looks_written(found.data):
        return []
    return cut(path, found.data)
