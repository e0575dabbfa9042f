"""The ledger: a receipt for everything that left, and the budget's one account. SQLite with a write-ahead log.

A request is written down, with the most it may cost, before its first byte leaves; what it did cost replaces that
once, when it is known. One transaction compares what is spent and reserved with the limits and reserves the next, so
that any number of requests at once cannot overspend together, and a daemon that is killed leaves its reservations
charged. Nothing here says what was asked: a receipt has the body's hash, and the body only where the user wants it.

Clocks are set back and forth. Receipts have the order of their numbers; those since the machine was started are placed
in time by a clock that nobody sets, so that setting the other one gives no budget back; one from the future, written
before the clock was set back, counts as written now.

This module knows neither providers nor prices. What is damaged is not replaced by an empty ledger: nothing leaves
without one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ingle_daemon.errors import BudgetSpent, UsageError
from ingle_daemon.routing.budget import Charge, dollars, limit_text, nano, windows

__all__ = ["Clock", "Draft", "Ledger", "Limits", "Spent", "boot", "steady"]

_MIGRATIONS = (
    """
CREATE TABLE receipts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, session TEXT NOT NULL, steady REAL NOT NULL,
    destination TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
    redactions TEXT NOT NULL, estimate INTEGER, charged INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,
    believed INTEGER, outcome TEXT NOT NULL, body BLOB
);
CREATE INDEX receipts_at ON receipts (at);
""",
    "ALTER TABLE receipts ADD COLUMN reason TEXT NOT NULL DEFAULT '';",
)
"""Scripts that take the file from one version to the next. A script that was released stays."""
_SENT = "sent"
"""The outcome of a request that has none yet; if the daemon was killed, of one that never will."""
_PLACED = "CASE WHEN session = :session THEN :now - (:steady - steady) ELSE at END"
_SPENT = f"""
SELECT COALESCE(SUM(CASE WHEN placed >= :day THEN amount END), 0),
       COALESCE(SUM(CASE WHEN placed >= :month THEN amount END), 0)
FROM (SELECT {_PLACED} AS placed, COALESCE(charged, estimate, 0) AS amount FROM receipts
      WHERE at >= :month OR session = :session)
"""  # noqa: S608 - made of constants
_COLUMNS = (
    *("id", "at", "destination", "model", "task", "outcome", "estimate", "charged", "prompt_tokens"),
    *("completion_tokens", "believed", "redactions", "sha256", "bytes", "reason"),
)

Clock = Callable[[], float]


def steady() -> float:
    """Seconds that pass whatever the clock is set to, and while the machine sleeps where the system counts that."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot() -> str:
    """Names this start of the machine, within which `steady` goes on; where nobody says, this process."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


class Limits(msgspec.Struct, frozen=True):
    """US dollars; None is no limit."""

    day: float | None = None
    month: float | None = None


class Spent(msgspec.Struct, frozen=True):
    """Billionths of a dollar, charged and reserved."""

    day: int
    month: int


class Draft(msgspec.Struct, frozen=True):
    """A receipt, before anything left. `estimate` in billionths of a dollar; None where the price is not known."""

    destination: str
    model: str
    sha256: str
    n_bytes: int
    redactions: dict[str, int]
    estimate: int | None
    task: str = ""
    reason: str = ""
    body: bytes | None = None


class Ledger:
    """The ledger in `path`, private to the user. Thread-safe; every call may wait for the disk.

    `session` names the time in which `steady_clock` goes on, from one daemon to the next.
    """

    def __init__(
        self, path: Path, limits: Limits, *, clock: Clock = time.time, steady_clock: Clock = steady, session: str = ""
    ) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._steady = steady_clock
        self._session = session or boot()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def limits(self) -> Limits:
        return self._limits

    def limit(self, limits: Limits) -> None:
        """From the next request on."""
        self._limits = limits

    def reserve(self, draft: Draft) -> int:
        """Write the receipt and set its estimate aside; its number. Raises BudgetSpent when that is over the budget."""
        with self._transaction() as connection:
            now = self._now(connection)
            if refusal := over(self._limits, self._spent(connection, now), draft.estimate):
                raise refusal
            cursor = connection.execute(
                "INSERT INTO receipts (at, session, steady, destination, model, task, sha256, bytes, redactions,"
                " estimate, outcome, body, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(now, self._session, self._steady(), draft.destination, draft.model, draft.task, draft.sha256),
                    *(draft.n_bytes, msgspec.json.encode(draft.redactions).decode(), draft.estimate, _SENT, draft.body),
                    draft.reason,
                ),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def settle(self, receipt: int, charge: Charge, outcome: str) -> None:
        """What it cost in the end, and how it ended. The first word counts: nothing is charged twice."""
        values = (charge.nano, outcome, charge.usage.prompt_tokens, charge.usage.completion_tokens, charge.believed)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE receipts SET charged = ?, outcome = ?, prompt_tokens = ?, completion_tokens = ?, believed = ?"
                " WHERE id = ? AND outcome = ?",
                (*values, receipt, _SENT),
            )

    def spent(self) -> Spent:
        with self._transaction() as connection:
            return self._spent(connection, self._now(connection))

    def receipts(self, limit: int | None = None, *, bodies: bool = False) -> list[dict[str, Any]]:
        """The newest first; money in dollars."""
        columns = (*_COLUMNS, "body") if bodies else _COLUMNS
        with self._transaction() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(columns)} FROM receipts ORDER BY id DESC LIMIT ?",  # noqa: S608 - constants
                (-1 if limit is None else limit,),
            ).fetchall()
        return [_readable(dict(zip(columns, row, strict=True))) for row in rows]

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _now(self, connection: sqlite3.Connection) -> float:
        """The time of day. Receipts of an earlier session that lie in the future are moved to now, once."""
        now = self._clock()
        connection.execute("UPDATE receipts SET at = ? WHERE at > ? AND session != ?", (now, now, self._session))
        return now

    def _spent(self, connection: sqlite3.Connection, now: float) -> Spent:
        begin = windows(now)
        values = {
            "session": self._session,
            "now": now,
            "steady": self._steady(),
            "day": begin.day,
            "month": begin.month,
        }
        return Spent(*connection.execute(_SPENT, values).fetchone())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._connection = self._connection or _connect(self._path)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as exc:
                raise UsageError(
                    f"the ledger {self._path} cannot be used: {exc}",
                    hint="Nothing leaves without a receipt. Make room, or move the file away to begin a new one.",
                ) from exc


def over(limits: Limits, spent: Spent, wanted: int | None) -> BudgetSpent | None:
    """The refusal of something that may cost `wanted`, where the limits do not leave as much."""
    for window, limit, used in (("day", limits.day, spent.day), ("month", limits.month, spent.month)):
        if limit is None:
            continue
        if wanted is None:
            return BudgetSpent(
                f"there is a budget for the {window}, and what this model costs is not known",
                hint="Set its `price_in` and `price_out`, or take the limit out of [budget].",
            )
        if used + wanted > nano(limit):
            return BudgetSpent(
                f"of {limit_text(limit)} a {window}, ${dollars(used):.4f} are spent or set aside, and this may cost"
                f" ${dollars(wanted):.4f}",
                hint=f"Ask with --local, ask for less, or raise `[budget] {window}`.",
                window=window,
                limit=limit,
                spent=dollars(used),
                estimate=dollars(wanted),
            )
    return None


def _connect(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would leave it readable
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # money: a reservation outlives a power failure
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("it is damaged")
    except BaseException:
        connection.close()
        raise
    return connection


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Money in dollars, counts as a table; a body as text."""
    for name in ("estimate", "charged"):
        row[name] = None if row[name] is None else dollars(row[name])
    row["redactions"] = msgspec.json.decode(row["redactions"])
    row["believed"] = None if row["believed"] is None else bool(row["believed"])
    if row.get("body") is not None:
        row["body"] = row["body"].decode()
    return row
