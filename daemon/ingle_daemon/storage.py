"""A SQLite file that is its user's alone: private, with a write-ahead log, at the newest schema, and known when broken.

What is deleted is overwritten. `Store` adds what a file needs that cannot be made again: one transaction at a time from
any thread, migrations, and what is damaged is set aside, never deleted. This module knows no table.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

__all__ = ["Store", "WrittenByNewer", "connect", "create", "is_damaged", "remove_database", "transaction"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_BUSY_S = 30.0
_MOST_VERSIONS = 1000
_SIDE_FILES = ("-wal", "-shm")
_BROKEN = ("malformed", "no such", "disk I/O error", "readonly", "file format", "already exists")
"""What SQLite says of a damaged file where it has no class of its own for that."""


class WrittenByNewer(sqlite3.OperationalError):
    """The file's schema is one that this version does not know."""


# --- any file ------------------------------------------------------------------------------------------------------


def create(path: Path) -> None:
    """Make the file, empty, unless it is there: SQLite itself would leave it readable to others."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def connect(path: Path, *, threads: bool = False) -> sqlite3.Connection:
    """A connection to a file that exists, in which transactions are begun and ended by hand.

    With `threads` several may use it, in turn.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=not threads)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what was forgotten is not to be found in the file
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.rollback()
        raise


def is_damaged(exc: sqlite3.Error) -> bool:
    """Whether the file is no database, or a broken one. Locks and full disks have classes of their own."""
    return type(exc) is sqlite3.DatabaseError


def remove_database(path: Path) -> None:
    for suffix in ("", *_SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


# --- one that cannot be made again ---------------------------------------------------------------------------------


class Store:
    """The file at `path`. `migrations`: scripts that take the schema from one version to the next, from nothing on.

    Thread-safe; every call may wait for the disk. `opened` is run on each new connection, before any work.
    """

    def __init__(
        self, path: Path, migrations: Sequence[str], opened: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> None:
        self._path = path
        self._migrations = tuple(migrations)
        self._opened = opened
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """The result of `work`, in a transaction. On a damaged file it is done again: on a mended one, or a new one."""
        with self._lock:
            try:
                return self._attempt(work)
            except _Damage as exc:
                if not _may_be_damaged(exc):
                    raise
            self._close()  # what is opened again is checked, and mended where it can be
            try:
                return self._attempt(work)
            except sqlite3.DatabaseError as exc:
                if not is_damaged(exc):
                    raise
            self._begin_anew()
            return self._attempt(work)

    def wipe(self) -> None:
        """Leave no trace of what was deleted: neither in free pages nor in the write-ahead log."""
        with self._lock:
            connection = self._current()
            connection.execute("VACUUM")
            _empty_log(connection)

    def empty_log(self) -> None:
        """Move the write-ahead log into the file: what was deleted is still in the log."""
        with self._lock:
            _empty_log(self._current())

    def close(self) -> None:
        with self._lock:
            self._close()

    def _attempt(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._current()
        with transaction(connection):
            return work(connection)

    def _current(self) -> sqlite3.Connection:
        """The connection, made anew where the file is another one now: somebody may have removed it."""
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    return self._connection
            self._close()
        with self._alone():
            self._connection = self._open()
        self._inode = self._path.stat().st_ino
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            return self._checked()
        except _Damage as exc:
            if not _may_be_damaged(exc):
                raise
        self._set_aside()
        return self._checked()

    def _checked(self) -> sqlite3.Connection:
        """A connection to a sound file of the newest schema."""
        create(self._path)
        connection = connect(self._path, threads=True)
        # A damaged text is better than none, and than an error wherever it is read.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, self._migrations)
            _check(connection, self._migrations)
            self._opened(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin_anew(self) -> None:
        self._close()
        with self._alone():
            self._set_aside()

    def _set_aside(self) -> None:
        """Under a name that nothing has yet, its write-ahead log with it: somebody may want to recover it."""
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        _log.warning("a database is damaged: it is set aside, and a new one begun", extra={"path": str(aside)})
        self._path.replace(aside)
        for suffix in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).replace(aside.with_name(aside.name + suffix))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While a file is begun or set aside no other process does so: SQLite's own locks stay with the file."""
        handle = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a damaged log cannot be moved into the file
                self._connection.close()
            self._connection = None


_Damage = (sqlite3.Error, UnicodeDecodeError)
"""The second one where a message quotes what a damaged file holds."""


def _may_be_damaged(exc: Exception) -> bool:
    if isinstance(exc, sqlite3.OperationalError):
        return not isinstance(exc, WrittenByNewer) and any(said in str(exc) for said in _BROKEN)
    return not isinstance(exc, sqlite3.Error) or is_damaged(exc)


def _migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    newest = len(migrations)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != newest and _tables(connection) == _tables_after(migrations):
        connection.execute(f"PRAGMA user_version = {newest}")  # the number is damaged: other versions have other tables
        version = newest
    if version > newest:
        if version > _MOST_VERSIONS:
            raise sqlite3.DatabaseError("malformed version")
        raise WrittenByNewer(f"the file is of version {version}, and this ingle knows {newest}")
    for number in range(max(version, 0), newest):
        connection.executescript(f"BEGIN IMMEDIATE; {migrations[number]} PRAGMA user_version = {number + 1}; COMMIT;")
    if 0 < version < newest:
        connection.execute("VACUUM")  # older versions did not overwrite what they deleted
        _empty_log(connection)


def _check(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Raises sqlite3.DatabaseError where pages are broken, or tables are not as the migrations made them."""
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("malformed")
    if not _tables_after(migrations) <= _tables(connection):
        raise sqlite3.DatabaseError("malformed schema")


def _tables_after(migrations: Sequence[str]) -> set[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        for migration in migrations:
            model.executescript(migration)
        return _tables(model)


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master"))


def _empty_log(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
