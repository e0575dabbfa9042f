"""A private SQLite file through everything that can happen to it: damage, kills, other processes, other versions."""

from __future__ import annotations

import logging
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingle_daemon.journal import open_journal
from ingle_daemon.journal.conversations import Ending, Log
from ingle_daemon.journal.outcomes import Outcomes
from ingle_daemon.protocol import Outcome, Route
from ingle_daemon.storage import Store, WrittenByNewer

NOW = 1_000_000_000.0
ROUTE = Route("local", "tiny", "it fits")
TABLE = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def add(text: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def notes(store: Store) -> list[str]:
    return store.run(lambda connection: [text for (text,) in connection.execute("SELECT text FROM notes")])


def everything(path: Path) -> None:
    """Use the journal in every way there is."""
    journal = open_journal(path)
    outcomes, log = Outcomes(journal, keep_text=False), Log(journal)
    log.recover()
    outcomes.forget_texts()
    outcomes.add([Outcome("new", "shown"), Outcome("1", "accepted"), Outcome("", "skipped", "gate")], NOW)
    outcomes.stats(0)
    number = log.create("title", "system", NOW)
    turn = log.begin(number, "what is new?", ROUTE, NOW)
    log.append(turn, "much")
    log.end(turn, "much", Ending("end"))
    log.use("tty", number, NOW)
    for info in log.recent(100):
        log.read(info.id)
        log.branch(info.id, 1, NOW)
    log.search("word 1", 20)
    log.last("tty")
    log.cut(number, 0)
    log.remove(number)
    journal.close()


def filled(path: Path) -> None:
    journal = open_journal(path)
    outcomes, log = Outcomes(journal, keep_text=True), Log(journal)
    outcomes.add([Outcome(str(number), "shown", text="x = y") for number in range(200)], NOW)
    for number in range(12):
        conversation = log.create(f"title {number}", "system", NOW)
        for _ in range(4):
            turn = log.begin(conversation, f"what is word {number}? " * 9, ROUTE, NOW)
            log.end(turn, "it is this " * 30, Ending("end"))
        log.append(log.begin(conversation, "and now?", ROUTE, NOW), "well")
        log.use(f"tty{number}", conversation, NOW)
    journal.close()


def test_the_file_is_its_users_alone(path: Path) -> None:
    Store(path, [TABLE]).run(add("a"))
    assert [file.stat().st_mode & 0o077 for file in path.parent.iterdir()] == [0] * 4


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    store = Store(path, [TABLE])

    def half(connection: sqlite3.Connection) -> None:
        add("half")(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.run(half)
    store.run(add("whole"))
    assert notes(store) == ["whole"]


def test_each_migration_is_done_once(path: Path) -> None:
    Store(path, [TABLE]).run(add("old"))
    newer = Store(path, [TABLE, "ALTER TABLE notes ADD COLUMN more TEXT;"])
    newer.run(lambda connection: connection.execute("UPDATE notes SET more = 'new'"))
    assert notes(newer) == ["old"]
    assert notes(Store(path, [TABLE, "ALTER TABLE notes ADD COLUMN more TEXT;"])) == ["old"]


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    Store(path, [TABLE, "CREATE TABLE more (id);"]).run(add("new"))
    with pytest.raises(WrittenByNewer):
        notes(Store(path, [TABLE]))
    assert not list(path.parent.glob("*.damaged*"))


def test_a_file_that_is_removed_while_it_is_open_is_begun_anew(path: Path) -> None:
    store = Store(path, [TABLE])
    store.run(add("lost"))
    for file in path.parent.iterdir():
        file.unlink()
    store.run(add("kept"))
    assert notes(Store(path, [TABLE])) == ["kept"]


def test_two_processes_may_begin_it_at_once(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ingle_daemon.storage import Store\n"
        f"store = Store(Path(sys.argv[1]), ['{TABLE}']); sys.stdin.readline()\n"
        "store.run(lambda connection: connection.execute('INSERT INTO notes (text) VALUES (1)'))\n"
    )
    for _ in range(5):
        command = [sys.executable, "-c", program, str(path)]
        children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
        for child in children:
            assert child.stdin
            child.stdin.write(b"\n")
            child.stdin.close()
        assert [child.wait() for child in children] == [0] * 4
        assert len(notes(Store(path, [TABLE]))) == 4
        assert not list(path.parent.glob("*.damaged*"))
        for file in path.parent.iterdir():
            file.unlink()


def test_what_is_no_database_is_set_aside_and_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"no database" * 1000)
    store = Store(path, [TABLE])
    with caplog.at_level(logging.WARNING):
        store.run(add("a"))
    assert notes(store) == ["a"]
    assert path.with_name("journal.sqlite.damaged-1").read_bytes() == b"no database" * 1000
    assert "set aside" in caplog.text


def test_what_was_set_aside_before_is_not_overwritten(path: Path) -> None:
    for number in (1, 2):
        path.write_bytes(b"no database %d" % number * 1000)
        store = Store(path, [TABLE])
        store.run(add("a"))
        store.close()
    assert [len(list(path.parent.glob(f"*.damaged-{number}"))) for number in (1, 2, 3)] == [1, 1, 0]


def test_damage_that_shows_only_later_is_met_with_the_same_remedy(path: Path) -> None:
    store = Store(path, [TABLE])
    for _ in range(1000):
        store.run(add("more than SQLite keeps in memory " * 200))
    store.empty_log()
    with path.open("r+b") as file:  # the same file, still open in the store
        file.write(path.read_bytes()[:8192] + b"\xff" * 1_000_000)
    assert notes(store) == []
    store.run(add("after"))
    assert notes(store) == ["after"]
    assert path.with_name("journal.sqlite.damaged-1").stat().st_size > 1_000_000


def test_a_broken_full_text_index_is_built_anew(path: Path) -> None:
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE words_data SET block = randomblob(100) WHERE id > 10")
    connection.close()
    log = Log(open_journal(path))
    assert len(log.search("word 7", 100)) == 4
    assert not list(path.parent.glob("*.damaged*"))


@pytest.mark.parametrize("seed", range(8))
def test_no_damage_keeps_the_journal_from_being_used(path: Path, seed: int) -> None:
    filled(path)
    sound = path.read_bytes()
    chance = random.Random(seed)
    for _ in range(50):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(damaged(sound, chance))
        everything(path)
        everything(path)


def damaged(sound: bytes, chance: random.Random) -> bytes:
    """The file as a failing disk leaves it: bytes, sectors or its end are not what was written."""
    raw = bytearray(sound)
    for _ in range(chance.randint(1, 4)):
        kind = chance.choice(["bytes", "zeros", "noise", "swap", "end", "header"])
        at = chance.randrange(len(raw))
        if kind == "bytes":
            for _ in range(chance.randint(1, 30)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
        elif kind == "zeros":
            raw[at : at + 512] = bytes(len(raw[at : at + 512]))
        elif kind == "noise":
            raw[at : at + 512] = chance.randbytes(len(raw[at : at + 512]))
        elif kind == "swap":
            page, other = (chance.randrange(len(raw) // 4096 + 1) * 4096 for _ in "12")
            raw[page : page + 4096], raw[other : other + 4096] = raw[other : other + 4096], raw[page : page + 4096]
        elif kind == "end":
            del raw[max(at, 200) :]
        else:
            raw[chance.randrange(100)] = chance.randrange(256)
    return bytes(raw)
