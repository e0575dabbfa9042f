"""Conversations in the journal: questions before they are answered, answers as they come, and a full-text index.

An answer that is still coming stands in pieces, each a transaction: whoever is killed loses what had not come. Deleting
overwrites. This module decides neither what is kept nor who may continue what.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any, TypeVar

import msgspec

from ingle_daemon.protocol import Conversation, ConversationInfo, Found, Route, Timings, Turn, Usage
from ingle_daemon.storage import Store

__all__ = ["NOWHERE", "Ending", "Log", "Places", "title_of"]

_T = TypeVar("_T")
_LONGEST_TITLE = 60
_ENDED = 3
# The casts: a damaged file may hold anything anywhere.
_INFO = """
SELECT c.id, CAST(c.title AS TEXT), CAST(c.begun AS REAL), CAST(c.changed AS REAL),
    (SELECT count(*) FROM turns WHERE conversation = c.id),
    CAST(coalesce(t.model, '') AS TEXT), CAST(coalesce(t.route, '') AS TEXT)
FROM conversations AS c LEFT JOIN turns AS t ON t.id = (SELECT max(id) FROM turns WHERE conversation = c.id)
"""
_TURNS = """
SELECT CAST(asked AS REAL), CAST(question AS TEXT), CAST(answer AS TEXT), CAST(ended AS TEXT), CAST(route AS TEXT),
    CAST(model AS TEXT), CAST(reason AS TEXT), CAST(timings AS TEXT), CAST(usage AS TEXT), CAST(rule AS TEXT),
    CAST(places AS TEXT), id
FROM turns WHERE conversation = ? ORDER BY id
"""
_ADD_TURN = """
INSERT INTO turns (conversation, asked, question, answer, ended, route, model, reason, timings, usage, rule, places)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SEARCH = """
SELECT rowid, snippet(words, -1, '[', ']', '…', 12) FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?
"""
_PIECES = "SELECT CAST(text AS TEXT) FROM pieces WHERE turn = ? ORDER BY id"


class Places(msgspec.Struct, frozen=True):
    """The folder a question was asked in, and the files whose text it holds."""

    root: str = ""
    paths: tuple[str, ...] = ()


NOWHERE = Places()


class Ending(msgspec.Struct, frozen=True):
    """How an answer ended; see `Turn`."""

    ended: str
    timings: Timings = Timings()
    usage: Usage | None = None


class Log:
    """The conversations in `journal`. Thread-safe; every call may wait for the disk."""

    def __init__(self, journal: Store) -> None:
        self._journal = journal

    # --- writing a turn ---

    def begin(self, conversation: int, question: str, route: Route, at: float, places: Places = NOWHERE) -> int:
        """A turn that is about to be answered; its number."""

        def work(connection: sqlite3.Connection) -> int:
            unanswered = (conversation, at, question, "", "", route.kind, route.model, route.reason, "", "", route.rule)
            turn = connection.execute(_ADD_TURN, (*unanswered, _json(places))).lastrowid
            connection.execute("UPDATE conversations SET changed = ? WHERE id = ?", (at, conversation))
            assert turn is not None, "an insertion has a number"
            return turn

        return self._journal.run(work)

    def reroute(self, turn: int, route: Route) -> None:
        """Another model answers it than the one that it began with."""
        update = "UPDATE turns SET route = ?, model = ?, reason = ?, rule = ? WHERE id = ?"
        values = (route.kind, route.model, route.reason, route.rule, turn)
        self._journal.run(lambda connection: connection.execute(update, values))

    def append(self, turn: int, text: str) -> None:
        """More of the answer."""
        insert = "INSERT INTO pieces (turn, text) VALUES (?, ?)"
        self._journal.run(lambda connection: connection.execute(insert, (turn, text)))

    def end(self, turn: int, answer: str, ending: Ending) -> None:
        """There is no more to come; `answer` is all that came."""
        self._journal.run(lambda connection: _end(connection, turn, answer, ending))

    def recover(self) -> None:
        """End the turns that a killed daemon left open, with what they have. To be called while nothing is answered."""

        def work(connection: sqlite3.Connection) -> None:
            for (turn,) in connection.execute("SELECT id FROM turns WHERE ended = ''").fetchall():
                _end(connection, turn, _come_so_far(connection, turn), Ending("killed"))
            connection.execute("DELETE FROM pieces")

        self._journal.run(work)

    # --- conversations ---

    def create(self, title: str, system: str, at: float) -> int:
        """A conversation without a turn; its number."""

        def work(connection: sqlite3.Connection) -> int:
            return _create(connection, title, system, at)

        return self._journal.run(work)

    def branch(self, conversation: int, turns: int, at: float) -> int:
        """A copy of a conversation's first `turns`; its number."""

        def work(connection: sqlite3.Connection) -> int:
            title, system = connection.execute(
                "SELECT title, system FROM conversations WHERE id = ?", (conversation,)
            ).fetchone()
            copy = _create(connection, title, system, at)
            rows = [row for row in connection.execute(_TURNS, (conversation,)).fetchall() if row[_ENDED]]
            for row in rows[:turns]:
                turn = connection.execute(_ADD_TURN, (copy, *row[:-1])).lastrowid
                _index(connection, turn, row[1], row[2])
            return copy

        return self._journal.run(work)

    def use(self, terminal: str, conversation: int, at: float) -> None:
        """This conversation is the terminal's last."""
        self._journal.run(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO terminals VALUES (?, ?, ?)", (terminal, conversation, at)
            )
        )

    def last(self, terminal: str) -> int | None:
        """The terminal's last conversation."""
        select = "SELECT conversation FROM terminals WHERE terminal = ?"
        row = self._journal.run(lambda connection: connection.execute(select, (terminal,)).fetchone())
        return row[0] if row else None

    def rename(self, conversation: int, title: str) -> None:
        update = "UPDATE conversations SET title = ? WHERE id = ?"
        self._journal.run(lambda connection: connection.execute(update, (title, conversation)))

    def remove(self, conversation: int) -> None:
        """Delete a conversation, and every trace of it."""

        def work(connection: sqlite3.Connection) -> None:
            _forget_turns(connection, conversation, 0)
            connection.execute("DELETE FROM terminals WHERE conversation = ?", (conversation,))
            connection.execute("DELETE FROM conversations WHERE id = ?", (conversation,))

        self._journal.run(work)
        self._journal.empty_log()

    def cut(self, conversation: int, turns: int) -> None:
        """Delete all of its turns but the first `turns`, and every trace of them."""
        self._journal.run(lambda connection: _forget_turns(connection, conversation, turns))
        self._journal.empty_log()

    # --- reading ---

    def recent(self, limit: int) -> list[ConversationInfo]:
        """The conversations, the last one used first."""
        select = f"{_INFO} ORDER BY c.changed DESC, c.id DESC LIMIT ?"
        rows = self._journal.run(lambda connection: connection.execute(select, (limit,)).fetchall())
        return [_info(row) for row in rows]

    def read(self, conversation: int) -> Conversation | None:
        """The whole conversation."""

        def work(connection: sqlite3.Connection) -> Conversation | None:
            row = connection.execute(f"{_INFO} WHERE c.id = ?", (conversation,)).fetchone()
            if row is None:
                return None
            (system,) = connection.execute("SELECT system FROM conversations WHERE id = ?", (conversation,)).fetchone()
            turns = connection.execute(_TURNS, (conversation,)).fetchall()
            return Conversation(_info(row), system, tuple(_turn(connection, turn) for turn in turns))

        return self._journal.run(work)

    def places(self, conversation: int) -> list[Places]:
        """Of each of its questions, what it was about."""
        select = "SELECT CAST(places AS TEXT) FROM turns WHERE conversation = ? ORDER BY id"
        rows = self._journal.run(lambda connection: connection.execute(select, (conversation,)).fetchall())
        return [_read_json(text, Places) or NOWHERE for (text,) in rows]

    def search(self, text: str, limit: int) -> list[Found]:
        """The turns that hold all words of `text`, of which the last may be a beginning; the best first."""
        words = re.findall(r"\w+", text)
        if not words:
            return []
        query = " ".join(f'"{word}"' for word in words) + "*"

        def work(connection: sqlite3.Connection) -> list[Found]:
            rows = connection.execute(_SEARCH, (query, limit)).fetchall()
            return [found for turn, excerpt in rows if (found := _found(connection, turn, excerpt))]

        return self._journal.run(work)


def title_of(text: str) -> str:
    """A title for what begins with this text: its first line, or as much of it as a list shows."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1].rstrip()}…"


def _create(connection: sqlite3.Connection, title: str, system: str, at: float) -> int:
    number = connection.execute(
        "INSERT INTO conversations (title, system, begun, changed) VALUES (?, ?, ?, ?)", (title, system, at, at)
    ).lastrowid
    assert number is not None, "an insertion has a number"
    return number


def _end(connection: sqlite3.Connection, turn: int, answer: str, ending: Ending) -> None:
    row = connection.execute("SELECT question FROM turns WHERE id = ? AND ended = ''", (turn,)).fetchone()
    if row is None:
        return  # it was in a file that has been set aside since
    connection.execute(
        "UPDATE turns SET answer = ?, ended = ?, timings = ?, usage = ? WHERE id = ?",
        (answer, ending.ended, _json(ending.timings), _json(ending.usage), turn),
    )
    _index(connection, turn, row[0], answer)
    connection.execute("DELETE FROM pieces WHERE turn = ?", (turn,))


def _index(connection: sqlite3.Connection, turn: int | None, question: str, answer: str) -> None:
    connection.execute("INSERT INTO words (rowid, question, answer) VALUES (?, ?, ?)", (turn, question, answer))


def _forget_turns(connection: sqlite3.Connection, conversation: int, after: int) -> None:
    """Delete the turns that come after the first so many."""
    turns = connection.execute(
        "SELECT id, question, answer, ended FROM turns WHERE conversation = ? ORDER BY id LIMIT -1 OFFSET ?",
        (conversation, after),
    ).fetchall()
    for turn, question, answer, ended in turns:
        if ended:  # an index that keeps no text must be told which words to take out
            connection.execute(
                "INSERT INTO words (words, rowid, question, answer) VALUES ('delete', ?, ?, ?)",
                (turn, question, answer),
            )
        connection.execute("DELETE FROM pieces WHERE turn = ?", (turn,))
        connection.execute("DELETE FROM turns WHERE id = ?", (turn,))
    connection.execute("INSERT INTO words (words) VALUES ('optimize')")  # until then the words are only struck out


def _found(connection: sqlite3.Connection, turn: int, excerpt: str) -> Found | None:
    row = connection.execute("SELECT conversation FROM turns WHERE id = ?", (turn,)).fetchone()
    if row is None:
        return None
    before = "SELECT count(*) FROM turns WHERE conversation = ? AND id <= ?"
    (number,) = connection.execute(before, (row[0], turn)).fetchone()
    info = connection.execute(f"{_INFO} WHERE c.id = ?", row).fetchone()
    return Found(_info(info), number, excerpt) if info else None


def _info(row: tuple[Any, ...]) -> ConversationInfo:
    return ConversationInfo(*row)


def _turn(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Turn:
    asked, question, answer, ended, route, model, reason, timings, usage, rule, _, number = row
    return Turn(
        asked=asked,
        question=question,
        answer=answer if ended else _come_so_far(connection, number),
        ended=ended,
        route=route,
        model=model,
        reason=reason,
        timings=_read_json(timings, Timings) or Timings(),
        usage=_read_json(usage, Usage),
        rule=rule,
    )


def _come_so_far(connection: sqlite3.Connection, turn: int) -> str:
    return "".join(text for (text,) in connection.execute(_PIECES, (turn,)))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _read_json(text: str, kind: type[_T]) -> _T | None:
    """None for what is no such value: figures beside an answer are no reason not to show it."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError):
        return None
