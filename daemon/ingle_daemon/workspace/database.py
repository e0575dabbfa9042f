"""The database of an index: its tables, and how it is opened. Reader and writer meet here.

It knows nothing of files, trees or words; it imports little, because the daemon reads and another process writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
import unicodedata
import zlib
from pathlib import Path

from ingle_daemon.paths import private_dir
from ingle_daemon.storage import connect, create, is_damaged, remove_database
from ingle_daemon.workspace.words import RULES

__all__ = ["lock_file", "opened"]

_SCHEMA = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL
);
CREATE TABLE chunks (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, line INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX chunks_of_file ON chunks (file);
CREATE TABLE symbols (
    name TEXT NOT NULL, file INTEGER NOT NULL, line INTEGER NOT NULL, end INTEGER NOT NULL, kind TEXT NOT NULL,
    signature TEXT NOT NULL
);
CREATE INDEX symbols_by_name ON symbols (name);
CREATE INDEX symbols_of_file ON symbols (file);
CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = "unicode61 remove_diacritics 0 tokenchars '_'");
CREATE VIRTUAL TABLE frequencies USING fts5vocab (words, row);
"""
# Python and SQLite must agree on what was indexed to take it out again, and Python's idea of a letter changes.
_VERSION = zlib.crc32(f"{_SCHEMA}{RULES}{unicodedata.unidata_version}".encode()) & 0x7FFF_FFFF


def opened(database: Path) -> sqlite3.Connection:
    """The writer's connection, to a new database where there is none, or one of another version, or a broken one."""
    private_dir(database.parent)
    create(database)
    try:
        with contextlib.ExitStack() as undo:
            connection = connect(database)
            undo.callback(connection.close)
            if _fits(connection):
                undo.pop_all()
                return connection
    except sqlite3.DatabaseError as exc:
        if not is_damaged(exc):
            raise
    remove_database(database)
    return opened(database)


def _fits(connection: sqlite3.Connection) -> bool:
    """Whether its tables are ours, made now if it is empty."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
        return True
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    return True


def lock_file(database: Path) -> Path:
    """What the writer holds locked for as long as it lives."""
    return database.with_name(f"{database.name}.lock")
