"""The journal's tables, as scripts that take a file from one version to the next. A script that was released stays."""

from __future__ import annotations

import sqlite3

from ingle_daemon.storage import is_damaged

__all__ = ["MIGRATIONS", "mend"]

_OUTCOMES = """
CREATE TABLE IF NOT EXISTS completions (
    id TEXT PRIMARY KEY, at REAL NOT NULL, language TEXT NOT NULL, fate TEXT NOT NULL, reason TEXT NOT NULL,
    characters INTEGER NOT NULL, score REAL, wait_ms REAL, text TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS completions_at ON completions (at);
CREATE TABLE IF NOT EXISTS skipped (
    day INTEGER NOT NULL, gate TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (day, gate)
);
"""

# A turn that is still being answered has `ended` = '' and its answer in `pieces`; `words` knows those that have ended.
_CONVERSATIONS = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, system TEXT NOT NULL,
    begun REAL NOT NULL, changed REAL NOT NULL
);
CREATE INDEX conversations_changed ON conversations (changed);
CREATE TABLE turns (
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, asked REAL NOT NULL, question TEXT NOT NULL,
    answer TEXT NOT NULL, ended TEXT NOT NULL, route TEXT NOT NULL, model TEXT NOT NULL, reason TEXT NOT NULL,
    timings TEXT NOT NULL, usage TEXT NOT NULL
);
CREATE INDEX turns_of_conversation ON turns (conversation);
CREATE TABLE pieces (id INTEGER PRIMARY KEY, turn INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX pieces_of_turn ON pieces (turn);
CREATE TABLE terminals (terminal TEXT PRIMARY KEY, conversation INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (
    question, answer, content = 'turns', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
"""

# Of a local answer its signs, as numbers, and what became of it: no text. `cost` is the larger model's, in US dollars.
_ANSWERS = """
CREATE TABLE answers (
    id TEXT PRIMARY KEY, at REAL NOT NULL, model TEXT NOT NULL, confidence REAL NOT NULL, signs TEXT NOT NULL,
    rule TEXT NOT NULL, fate TEXT NOT NULL, cost REAL
) WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);
ALTER TABLE turns ADD COLUMN rule TEXT NOT NULL DEFAULT '';
"""

# Of a question its folder, and the files whose text it holds, as JSON: what goes on with it is as private.
_PLACES = "ALTER TABLE turns ADD COLUMN places TEXT NOT NULL DEFAULT '';"

MIGRATIONS = (_OUTCOMES, _CONVERSATIONS, _ANSWERS, _PLACES)


def mend(connection: sqlite3.Connection) -> None:
    """Build the full-text index anew where it is broken: all that it knows stands in the tables."""
    try:
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as exc:
        if not is_damaged(exc) and "fts5" not in str(exc):
            raise
        rebuild_words(connection)


def rebuild_words(connection: sqlite3.Connection) -> None:
    connection.executescript("""
        BEGIN IMMEDIATE;
        INSERT INTO words (words) VALUES ('delete-all');
        INSERT INTO words (rowid, question, answer) SELECT id, question, answer FROM turns WHERE ended <> '';
        COMMIT;
    """)
