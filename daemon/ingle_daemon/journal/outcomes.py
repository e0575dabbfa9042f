"""What became of completions: numbers and reasons, and the code only where its user asked for that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from ingle_daemon.protocol import Outcome
from ingle_daemon.storage import Store

__all__ = ["Outcomes"]

_DAYS = 180
_DAY = 24 * 3600.0
_BUCKETS = 5
"""Of the score, from 0 to 1."""
_BEGINNINGS = ("shown", "hidden", "failed")


_Row = tuple[str, str, str, int, float | None, float | None]


class Outcomes:
    """What became of completions, in `journal`. Thread-safe; every call may wait for the disk.

    With `keep_text` the completions' text is kept too.
    """

    def __init__(self, journal: Store, *, keep_text: bool) -> None:
        self._journal = journal
        self._keep_text = keep_text

    def keep_texts(self, keep: bool) -> None:
        """Whether what comes from now on is kept with its text."""
        self._keep_text = keep

    def forget_texts(self) -> None:
        """Remove the texts that were kept while `keep_text` was on, and every trace of them."""
        if self._keep_text:
            return
        forget = "UPDATE completions SET text = '' WHERE text <> ''"
        if self._journal.run(lambda connection: connection.execute(forget).rowcount):
            self._journal.wipe()

    def add(self, outcomes: Iterable[Outcome], at: float) -> None:
        """Write down what became of completions at the time `at`."""
        gathered = tuple(outcomes)
        self._journal.run(lambda connection: self._add(connection, gathered, at))

    def stats(self, since: float) -> dict[str, Any]:
        """What became of the completions since then, in all and by language, and how well their scores foretold it."""
        rows, gates = self._journal.run(lambda connection: _read(connection, since))
        languages = sorted({row[0] for row in rows})
        return {
            "all": _summary(rows),
            "languages": {name: _summary([row for row in rows if row[0] == name]) for name in languages},
            "skipped": dict(gates),
            "hidden": _counted(row[2] for row in rows if row[1] == "hidden"),
            "calibration": _calibration(rows),
        }

    def _add(self, connection: sqlite3.Connection, outcomes: Iterable[Outcome], at: float) -> None:
        for outcome in outcomes:
            if outcome.kind == "skipped":
                connection.execute(
                    "INSERT INTO skipped VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                    (int(at // _DAY), outcome.by),
                )
            elif outcome.kind in _BEGINNINGS:
                self._begin(connection, outcome, at)
            else:
                _judge(connection, outcome)
        connection.execute("DELETE FROM completions WHERE at < ?", (at - _DAYS * _DAY,))
        connection.execute("DELETE FROM skipped WHERE day < ?", (int(at // _DAY) - _DAYS,))

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


def _judge(connection: sqlite3.Connection, outcome: Outcome) -> None:
    """What the user made of it. Who took some of it and then typed on has not rejected it."""
    kept = "" if outcome.kind != "rejected" else " AND fate = 'shown'"
    connection.execute(f"UPDATE completions SET fate = ? WHERE id = ?{kept}", (outcome.kind, outcome.id))  # noqa: S608


def _read(connection: sqlite3.Connection, since: float) -> tuple[list[_Row], list[tuple[str, int]]]:
    # The casts: a damaged file may hold anything anywhere.
    rows = connection.execute(
        "SELECT language, fate, reason, CAST(characters AS INTEGER), CAST(score AS REAL), CAST(wait_ms AS REAL)"
        " FROM completions WHERE at >= ?",
        (since,),
    ).fetchall()
    gates = connection.execute(
        "SELECT gate, SUM(count) FROM skipped WHERE day >= ? GROUP BY gate ORDER BY 2 DESC", (int(since // _DAY),)
    ).fetchall()
    return rows, gates


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
