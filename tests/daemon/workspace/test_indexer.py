"""The indexer by itself: what it does when its database breaks under it, or cannot grow."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec

from ingle_daemon.storage import connect
from ingle_daemon.workspace.index import Index
from ingle_daemon.workspace.indexer import Indexer
from ingle_daemon.workspace.report import Report
from ingle_daemon.workspace.search import Search
from ingle_daemon.workspace.watch import Watch

LIMITED = 'ulimit -f 300; exec "$0" -m ingle_daemon.workspace.indexer "$1" "$2"'
"""No file may pass 300 blocks."""


class Enough(Exception):
    """Ends an indexer that would run as long as its root is there."""


def look_once(root: Path, database: Path) -> list[str]:
    """Run an indexer until it is ready; the states it went through."""
    states: list[str] = []

    def say(report: Report) -> None:
        states.append(report.state)
        if report.state == "ready":
            raise Enough

    with closing(Index(database, root)) as index:
        try:
            Indexer(root, index, Watch(root), say).run()
        except Enough:
            return states
    raise AssertionError("it ended by itself")


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    root, database = tmp_path / "root", tmp_path / "index.sqlite"
    root.mkdir()
    for name in ("a.py", "b.py"):
        (root / name).write_text(f"def in_{name[0]}(): pass\n")
    look_once(root, database)
    ids = "SELECT path, id FROM files"
    with closing(connect(database)) as connection:
        before = dict(connection.execute(ids).fetchall())
    (root / "a.py").write_text("def in_a_now(): pass\n")
    look_once(root, database)
    with closing(connect(database)) as connection:
        after = dict(connection.execute(ids).fetchall())
    assert after["b.py"] == before["b.py"]
    assert after["a.py"] != before["a.py"]
    assert Search(database).definitions(["in_a", "in_a_now"], limit=5)[0].text == "def in_a_now():"


def test_damage_met_on_the_way_is_answered_by_a_new_index(tmp_path: Path) -> None:
    root, database = tmp_path / "root", tmp_path / "index.sqlite"
    root.mkdir()
    (root / "a.py").write_text("def before(): pass\n")
    (root / "b.py").write_text("def untouched(): pass\n")
    look_once(root, database)
    with closing(connect(database)) as connection:
        connection.execute("UPDATE words_data SET block = x'ffffffff'")
    (root / "a.py").write_text("def after(): pass\n")
    assert look_once(root, database) == ["scanning", "scanning", "ready"]
    found = Search(database).definitions(["before", "after", "untouched"], limit=5)
    assert [snippet.path for snippet in found] == ["a.py", "b.py"]
    assert Search(database).similar("before untouched", limit=5)[0].path == "b.py"


def test_a_database_that_cannot_grow_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(200):
        (root / f"f{number}.py").write_text(f"def function_{number}(): return {'x' * 2_000}\n")
    child = subprocess.Popen(
        ["sh", "-c", LIMITED, sys.executable, str(tmp_path / "cache/index.sqlite"), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    reports = (msgspec.json.decode(line, type=Report) for line in child.stdout)
    failed = next(report for report in reports if report.state == "failed")
    assert failed.error.startswith("cannot write the index: ")
    assert child.poll() is None  # it tries again when something changes
    child.stdin.close()
    assert child.wait() == 0
    child.stdout.close()
