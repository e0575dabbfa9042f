"""What became of completions, on a real disk: through kill -9, damage, and many threads."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingle_daemon.journal import Journal
from ingle_daemon.protocol import Outcome

NOW = 1_000_000_000.0
DAY = 24 * 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def shown(number: str, score: float = 0.9, **more: object) -> Outcome:
    return Outcome(number, "shown", language="python", characters=10, score=score, phases={"wait": 20.0}, text="secret")


def test_fates_become_figures(path: Path) -> None:
    journal = Journal(path, keep_text=False)
    journal.add([shown("1"), shown("2"), shown("3", 0.1), Outcome("4", "hidden", "score", language="go")], NOW)
    journal.add([Outcome("1", "accepted"), Outcome("1", "kept"), Outcome("3", "rejected")], NOW)
    journal.add([Outcome("", "skipped", "mid_word")] * 3, NOW)
    stats = journal.stats(NOW - DAY)
    assert stats["all"] == {
        "asked": 4,
        "hidden": 1,
        "failed": 0,
        "shown": 3,
        "accepted": 1,
        "acceptance": 1 / 3,
        "kept": 1.0,
        "characters": 10,
        "wait_ms": {"p50": 20.0, "p95": 20.0},
    }
    assert set(stats["languages"]) == {"go", "python"}
    assert (stats["skipped"], stats["hidden"]) == ({"mid_word": 3}, {"score": 1})
    assert [(bucket["shown"], bucket["taken"]) for bucket in stats["calibration"]][0::4] == [(1, 0.0), (2, 0.5)]


def test_only_the_days_asked_for_count(path: Path) -> None:
    journal = Journal(path, keep_text=False)
    journal.add([shown("1")], NOW - 3 * DAY)
    journal.add([shown("2")], NOW)
    assert journal.stats(NOW - DAY)["all"]["asked"] == 1


def test_what_is_old_goes(path: Path) -> None:
    journal = Journal(path, keep_text=False)
    journal.add([shown("1")], NOW - 200 * DAY)
    journal.add([shown("2")], NOW)
    assert journal.stats(0)["all"]["asked"] == 1


@pytest.mark.parametrize("keep_text", [False, True])
def test_the_code_is_kept_only_where_asked(path: Path, keep_text: bool) -> None:
    Journal(path, keep_text=keep_text).add([shown("1")], NOW)
    raw = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert (b"secret" in raw) is keep_text
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_moved_aside_and_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"no database" * 1000)
    journal = Journal(path, keep_text=False)
    with caplog.at_level(logging.WARNING):
        journal.add([shown("1")], NOW)
    assert journal.stats(0)["all"]["asked"] == 1
    assert path.with_suffix(".damaged").exists()
    assert "moved aside" in caplog.text


def test_a_page_that_was_overwritten_is_damage_too(path: Path) -> None:
    Journal(path, keep_text=False).add([shown(str(number)) for number in range(500)], NOW)
    raw = bytearray(path.read_bytes())
    raw[4096:8192] = b"\xff" * 4096
    path.write_bytes(raw)
    journal = Journal(path, keep_text=False)
    journal.add([shown("1")], NOW)
    assert journal.stats(0)["all"]["asked"] == 1


def test_what_was_told_before_a_kill_is_there_after_it(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ingle_daemon.journal import Journal; "
        "from ingle_daemon.protocol import Outcome\n"
        "journal = Journal(Path(sys.argv[1]), keep_text=False)\n"
        "for number in range(10**6):\n"
        f"    journal.add([Outcome(str(number), 'shown')], {NOW}); print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = [next(child.stdout) for _ in range(20)]
        child.kill()
        told += list(child.stdout)
    assert Journal(path, keep_text=False).stats(0)["all"]["asked"] >= len(told)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_threads_write_at_once(path: Path) -> None:
    journal = Journal(path, keep_text=False)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal.add([shown(str(number))], NOW), range(64)))
    assert journal.stats(0)["all"]["asked"] == 64
