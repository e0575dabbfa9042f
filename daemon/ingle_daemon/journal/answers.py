"""What was thought of local answers, and what became of them: numbers and names, never a word of the text."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from ingle_daemon.protocol import AnswerFate
from ingle_daemon.storage import Store

__all__ = ["Answer", "Answers"]

_DAY = 24 * 3600.0
_DAYS = 180
_MOST = 5000
# The casts: a damaged file may hold anything anywhere.
_SELECT = """
SELECT CAST(id AS TEXT), CAST(model AS TEXT), CAST(confidence AS REAL), CAST(signs AS TEXT), CAST(rule AS TEXT),
    CAST(fate AS TEXT), CAST(cost AS REAL)
FROM answers
"""


class Answer(NamedTuple):
    """One local answer. `rule` said what was to become of it, `fate` is what did, "" as long as nobody knows.

    `signs` are those of routing/confidence.py, in their order. `cost` is what a larger model took instead.
    """

    id: str
    model: str
    confidence: float
    signs: tuple[float, ...]
    rule: str
    fate: AnswerFate | str = ""
    cost: float | None = None


class Answers:
    """The local answers in `journal`. Thread-safe; every call may wait for the disk."""

    def __init__(self, journal: Store) -> None:
        self._journal = journal

    def add(self, answer: Answer, at: float) -> None:
        """Write it down; the oldest ones beyond six months, or five thousand, are forgotten."""
        signs = msgspec.json.encode(answer.signs).decode()
        row = (answer.id, at, answer.model, answer.confidence, signs, answer.rule, answer.fate, answer.cost)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM answers WHERE at < ?", (at - _DAYS * _DAY,))
            connection.execute(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?)", (_MOST,)
            )

        self._journal.run(work)

    def judge(self, answer: str, fate: AnswerFate) -> str:
        """What became of it; the last word counts. The model that gave it, "" where it is not known."""

        def work(connection: sqlite3.Connection) -> str:
            connection.execute("UPDATE answers SET fate = ? WHERE id = ?", (fate, answer))
            found = connection.execute("SELECT CAST(model AS TEXT) FROM answers WHERE id = ?", (answer,)).fetchone()
            return found[0] if found else ""

        return self._journal.run(work)

    def charge(self, answer: str, cost: float | None) -> None:
        """What the larger model took that was asked instead."""
        update = "UPDATE answers SET cost = ? WHERE id = ?"
        self._journal.run(lambda connection: connection.execute(update, (cost, answer)))

    def since(self, at: float) -> list[Answer]:
        """All of them since then, the newest first."""
        rows = self._journal.run(
            lambda connection: connection.execute(f"{_SELECT} WHERE at >= ? ORDER BY at DESC", (at,)).fetchall()
        )
        return [answer for row in rows if (answer := _answer(row))]

    def judged(self, model: str, limit: int) -> list[Answer]:
        """The newest ones of `model` whose fate is known."""
        rows = self._journal.run(
            lambda connection: connection.execute(
                f"{_SELECT} WHERE model = ? AND fate <> '' ORDER BY at DESC LIMIT ?", (model, limit)
            ).fetchall()
        )
        return [answer for row in rows if (answer := _answer(row))]


def _answer(row: tuple[Any, ...]) -> Answer | None:
    """None for what a damaged file made of one."""
    number, model, confidence, signs, *rest = row
    try:
        return Answer(number, model, confidence, msgspec.json.decode(signs, type=tuple[float, ...]), *rest)
    except (msgspec.DecodeError, UnicodeError):
        return None
