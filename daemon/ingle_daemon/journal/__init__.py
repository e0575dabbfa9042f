"""The journal, one SQLite file: what became of completions, and conversations. Each has a module of its own here.

They share the file and nothing else. What is written is there after kill -9; a damaged file is set aside, never deleted
(`ingle_daemon.storage`). Nothing here knows an engine, a front end or the time of day: that is passed in.
"""

from __future__ import annotations

from pathlib import Path

from ingle_daemon.journal import schema
from ingle_daemon.storage import Store

__all__ = ["open_journal"]


def open_journal(path: Path) -> Store:
    """The journal at `path`. The file is made, or brought to the newest schema, when it is first used."""
    return Store(path, schema.MIGRATIONS, schema.mend)
