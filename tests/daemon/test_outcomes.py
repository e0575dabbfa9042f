"""What became of completions, on a real disk: through kill -9, damage, and many threads."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingle_daemon.journal import open_journal, schema
from ingle_daemon.journal.outcomes import Outcomes
from ingle_daemon.protocol import Outcome

NOW = 1_000_000_000.0
DAY = 24 * 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def outcomes_in(path: Path, *, keep_text: bool) -> Outcomes:
    return Outcomes(open_journal(path), keep_text=keep_text)


def files_beside(path: Path) -> bytes:
    """Everything that the journal left on the disk."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def shown(number: str, score: float = 0.9, **more: object) -> Outcome:
    return Outcome(number, "shown", language="python", characters=10, score=score, phases={"wait": 20.0}, text="secret")


def test_fates_become_figures(path: Path) -> None:
    journal = outcomes_in(path, keep_text=False)
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
    journal = outcomes_in(path, keep_text=False)
    journal.add([shown("1")], NOW - 3 * DAY)
    journal.add([shown("2")], NOW)
    assert journal.stats(NOW - DAY)["all"]["asked"] == 1


def test_what_is_old_goes(path: Path) -> None:
    journal = outcomes_in(path, keep_text=False)
    journal.add([shown("1")], NOW - 200 * DAY)
    journal.add([shown("2")], NOW)
    assert journal.stats(0)["all"]["asked"] == 1


@pytest.mark.parametrize("keep_text", [False, True])
def test_the_code_is_kept_only_where_asked(path: Path, keep_text: bool) -> None:
    outcomes_in(path, keep_text=keep_text).add([shown("1")], NOW)
    assert (b"secret" in files_beside(path)) is keep_text
    assert path.stat().st_mode & 0o077 == 0


def test_what_was_told_before_a_kill_is_there_after_it(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ingle_daemon.journal import open_journal\n"
        "from ingle_daemon.journal.outcomes import Outcomes; from ingle_daemon.protocol import Outcome\n"
        "journal = Outcomes(open_journal(Path(sys.argv[1])), keep_text=False)\n"
        "for number in range(10**6):\n"
        f"    journal.add([Outcome(str(number), 'shown')], {NOW}); print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = [next(child.stdout) for _ in range(20)]
        child.kill()
        told += list(child.stdout)
    assert outcomes_in(path, keep_text=False).stats(0)["all"]["asked"] >= len(told)
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_threads_write_at_once(path: Path) -> None:
    journal = outcomes_in(path, keep_text=False)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal.add([shown(str(number))], NOW), range(64)))
    assert journal.stats(0)["all"]["asked"] == 64


def test_what_was_taken_in_part_and_then_typed_over_was_taken(path: Path) -> None:
    journal = outcomes_in(path, keep_text=False)
    journal.add([shown("1"), Outcome("1", "partly"), Outcome("1", "rejected")], NOW)
    assert journal.stats(0)["all"]["accepted"] == 1


def test_texts_go_when_they_are_no_longer_to_be_kept(path: Path) -> None:
    outcomes_in(path, keep_text=True).add([shown(str(number)) for number in range(200)], NOW)
    assert b"secret" in files_beside(path)
    journal = outcomes_in(path, keep_text=False)
    journal.forget_texts()
    assert b"secret" not in files_beside(path)
    assert journal.stats(0)["all"]["asked"] == 200


def test_texts_stay_while_they_are_to_be_kept(path: Path) -> None:
    outcomes_in(path, keep_text=True).add([shown("1")], NOW)
    outcomes_in(path, keep_text=True).forget_texts()
    assert b"secret" in files_beside(path)


def test_a_journal_of_the_first_version_is_taken_over_without_what_it_had_deleted(path: Path) -> None:
    old = sqlite3.connect(path)
    old.execute("PRAGMA secure_delete = OFF")  # Debian's SQLite has it on
    old.executescript(f"PRAGMA journal_mode = WAL; {schema.MIGRATIONS[0]} PRAGMA user_version = 1;")
    row = "INSERT INTO completions VALUES (?, ?, 'python', 'shown', '', 3, 0.5, 1.0, ?)"
    old.executemany(row, [(str(number), NOW, "secret" * 40) for number in range(300)])
    old.execute("DELETE FROM completions WHERE id <> '7'")
    old.execute("UPDATE completions SET text = ''")
    old.commit()
    old.close()
    assert b"secret" in files_beside(path)
    assert outcomes_in(path, keep_text=False).stats(0)["all"]["asked"] == 1
    assert b"secret" not in files_beside(path)
