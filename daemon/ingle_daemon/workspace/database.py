"""The database of an index: its tables, how it is opened, how it is known to be broken. Reader and writer meet here.

It knows nothing of files, trees or words; it imports little, because the daemon reads and another process writes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import unicodedata
import zlib
from pathlib import Path

from ingle_daemon.paths import private_dir
from ingle_daemon.workspace.words import RULES

__all__ = ["connect", "is_damaged", "lock_file", "opened", "remove_database"]

_BUSY_S = 30.0
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
    with contextlib.suppress(FileExistsError):
        os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
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


def connect(database: Path) -> sqlite3.Connection:
    """A connection to a database that exists, in which transactions are begun and ended by hand."""
    uri = f"{database.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is not to be found in the file
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _fits(connection: sqlite3.Connection) -> bool:
    """Whether its tables are ours, made now if it is empty."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
        return True
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return False
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    return True


def is_damaged(exc: sqlite3.Error) -> bool:
    """Whether the file is no database, or a broken one. Locks and full disks have classes of their own."""
    return type(exc) is sqlite3.DatabaseError


def lock_file(database: Path) -> Path:
    """What the writer holds locked for as long as it lives."""
    return database.with_name(f"{database.name}.lock")


def remove_database(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
