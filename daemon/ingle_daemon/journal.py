"""What became of completions, kept on disk: numbers and reasons, never the code. SQLite with a write-ahead log.

Every outcome is a transaction of its own: a daemon that is killed loses nothing it was told. A damaged file is moved
aside and a new one begun. This module knows no engine and no editor; the time of day is passed in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ingle_daemon.protocol import Outcome

__all__ = ["Journal"]

_log = logging.getLogger(__name__)
_VERSION = 1
_DAYS = 180
_DAY = 24 * 3600.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    id TEXT PRIMARY KEY, at REAL NOT NULL, language TEXT NOT NULL, fate TEXT NOT NULL, reason TEXT NOT NULL,
    characters INTEGER NOT NULL, score REAL, wait_ms REAL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS completions_at ON completions (at);
CREATE TABLE IF NOT EXISTS skipped (
    day INTEGER NOT NULL, gate TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, gate)
);
"""
_BUCKETS = 5
"""Of the score, from 0 to 1."""


class Journal:
    """The journal in `path`, private to the user. Thread-safe; every call may wait for the disk.

    With `keep_text` the completions' text is kept too.
    """

    def __init__(self, path: Path, *, keep_text: bool) -> None:
        self._path = path
        self._keep_text = keep_text
        self._lock = threading.Lock()
        self._checked = False

    def add(self, outcomes: Iterable[Outcome], at: float) -> None:
        """Write down what became of completions at the time `at`."""
        with self._opened() as connection:
            for outcome in outcomes:
                if outcome.kind == "skipped":
                    connection.execute(
                        "INSERT INTO skipped VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                        (int(at // _DAY), outcome.by),
                    )
                elif outcome.kind in ("shown", "hidden", "failed"):
                    self._begin(connection, outcome, at)
                else:
                    connection.execute("UPDATE completions SET fate = ? WHERE id = ?", (outcome.kind, outcome.id))
            connection.execute("DELETE FROM completions WHERE at < ?", (at - _DAYS * _DAY,))
            connection.execute("DELETE FROM skipped WHERE day < ?", (int(at // _DAY) - _DAYS,))

    def stats(self, since: float) -> dict[str, Any]:
        """What became of the completions since then, in all and by language, and how well their scores foretold it."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT language, fate, reason, characters, score, wait_ms FROM completions WHERE at >= ?", (since,)
            ).fetchall()
            gates = connection.execute(
                "SELECT gate, SUM(count) FROM skipped WHERE day >= ? GROUP BY gate ORDER BY 2 DESC",
                (int(since // _DAY),),
            ).fetchall()
        languages = sorted({row[0] for row in rows})
        return {
            "all": _summary(rows),
            "languages": {name: _summary([row for row in rows if row[0] == name]) for name in languages},
            "skipped": dict(gates),
            "hidden": _counted(row[2] for row in rows if row[1] == "hidden"),
            "calibration": _calibration(rows),
        }

    def _begin(self, connection: sqlite3.Connection, outcome: Outcome, at: float) -> None:
        connection.execute(
            "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                outcome.id,
                at,
                outcome.language,
                outcome.kind,
                outcome.by,
                outcome.characters,
                outcome.score,
                outcome.phases.get("wait"),
                outcome.text if self._keep_text else "",
            ),
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction. What is damaged is moved aside, and the work done on a new file."""
        with self._lock:
            try:
                connection = self._connect()
            except sqlite3.DatabaseError as exc:
                if not _is_damaged(exc):
                    raise
                self._set_aside()
                connection = self._connect()
            with contextlib.closing(connection), connection:
                yield connection

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would leave it readable
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            if not self._checked and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("malformed")
            self._checked = True
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        _log.warning("the journal is damaged: it is moved aside, and a new one begun", extra={"path": str(self._path)})
        self._path.replace(self._path.with_suffix(".damaged"))
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Not merely locked or on a full disk."""
    return not isinstance(error, sqlite3.OperationalError) or "no such table" in str(error) or "malformed" in str(error)


_Row = tuple[str, str, str, int, float | None, float | None]
_TAKEN = ("accepted", "partly", "kept", "changed")


def _summary(rows: list[_Row]) -> dict[str, Any]:
    taken = [row for row in rows if row[1] in _TAKEN]
    shown = [row for row in rows if row[1] in ("shown", "rejected", *_TAKEN)]
    judged = [row for row in taken if row[1] in ("kept", "changed")]
    waits = sorted(row[5] for row in rows if row[5] is not None)
    return {
        "asked": len(rows),
        "hidden": sum(row[1] == "hidden" for row in rows),
        "failed": sum(row[1] == "failed" for row in rows),
        "shown": len(shown),
        "accepted": len(taken),
        "acceptance": len(taken) / len(shown) if shown else None,
        "kept": sum(row[1] == "kept" for row in judged) / len(judged) if judged else None,
        "characters": sum(row[3] for row in taken),
        "wait_ms": {"p50": _at(waits, 0.5), "p95": _at(waits, 0.95)},
    }


def _calibration(rows: list[_Row]) -> list[dict[str, Any]]:
    """Of shown completions by score: how many, and the share that was taken."""
    table: list[dict[str, Any]] = []
    for bucket in range(_BUCKETS):
        low, high = bucket / _BUCKETS, (bucket + 1) / _BUCKETS
        fates = [
            row[1]
            for row in rows
            if row[4] is not None and low <= min(row[4], 1 - 1e-9) < high and row[1] in ("shown", "rejected", *_TAKEN)
        ]
        taken = sum(fate in _TAKEN for fate in fates)
        table.append({"from": low, "to": high, "shown": len(fates), "taken": taken / len(fates) if fates else None})
    return table


def _at(ordered: list[float], share: float) -> float | None:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
