"""The index on disk: what it holds after every kind of change, after kill -9, and after damage."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.storage import connect
from ingle_daemon.workspace.index import Index
from ingle_daemon.workspace.search import Search, Snippet

SOURCES = {
    "users/store.py": "def load_user(name):\n    return database_lookup(name)\n",
    "users/model.py": "class User:\n    name: str\n    email: str\n",
    "billing/invoice.py": "def load_invoice(number):\n    return ledgerLookup(number)\n\n\ndef load_user(x): ...\n",
    "README.txt": "How invoices are numbered.\n",
}


class Place:
    """A workspace and its index."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir(exist_ok=True)
        self.database = folder / "cache/index.sqlite"
        self.index = Index(self.database, self.root)
        self.search = Search(self.database)

    def update(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        for _ in self.index.update(files):
            pass

    def reopen(self) -> None:
        self.index.close()
        self.index = Index(self.database, self.root)

    def defined(self, *names: str, not_in: str = "", limit: int = 10) -> list[tuple[str, int]]:
        return [(s.path, s.line) for s in self.search.definitions(names, limit=limit, not_in=not_in)]

    def like(self, text: str, not_in: str = "", limit: int = 10) -> list[str]:
        return [snippet.path for snippet in self.search.similar(text, limit=limit, not_in=not_in)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.update(SOURCES)
    yield made
    made.index.close()


def everything(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that an index holds, but for the numbers that its rows happened to get."""
    tables = {
        "files": "SELECT path, mtime_ns, size FROM files ORDER BY 1",
        "chunks": "SELECT path, line, text FROM chunks JOIN files ON files.id = file ORDER BY 1, 2",
        "symbols": "SELECT path, line, name, signature FROM symbols JOIN files ON files.id = file ORDER BY 1, 2",
        "words": "SELECT term, doc, cnt FROM frequencies WHERE doc ORDER BY 1",
    }
    with closing(connect(database)) as connection:
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        return {name: connection.execute(query).fetchall() for name, query in tables.items()}


def test_definitions_come_in_the_order_of_the_names_and_the_nearest_first(place: Place) -> None:
    assert place.defined("User", "load_user", not_in="billing/tax.py") == [
        ("users/model.py", 1),
        ("billing/invoice.py", 5),
        ("users/store.py", 1),
    ]
    assert place.defined("load_user", not_in="users/store.py") == [("billing/invoice.py", 5)]
    assert place.defined("load_user", "User", limit=1) == [("billing/invoice.py", 5)]
    assert place.search.definitions(["User", "User"], limit=5)[0] == Snippet(
        "users/model.py", 1, "class User:\n    name: str\n    email: str", "definition", 1.0
    )


def test_similar_finds_parts_of_names(place: Place) -> None:
    assert place.like("x = ledger(1)") == ["billing/invoice.py"]
    assert sorted(place.like("lookup")) == ["billing/invoice.py", "users/store.py"]
    assert place.like("lookup", not_in="users/store.py") == ["billing/invoice.py"]
    assert place.like("lookup", limit=1) == place.like("lookup")[:1]
    assert place.like("nothing_of_the_kind") == []
    assert place.like("") == []


def test_a_changed_file_is_found_by_its_new_words_only(place: Place) -> None:
    place.update({"users/store.py": "def fetch_account(key):\n    return remote(key)\n"})
    assert place.defined("fetch_account") == [("users/store.py", 1)]
    assert place.like("database_lookup") == ["billing/invoice.py"]  # it has "lookup"
    assert place.index.count == (4, 4)


def test_removed_files_leave_no_trace(place: Place) -> None:
    place.index.remove(["users/store.py", "users/none.py"])
    (place.root / "README.txt").unlink()
    for _ in place.index.update(["README.txt"]):
        pass
    assert place.index.count == (2, 2)
    place.index.close()
    assert b"database_lookup" not in place.database.read_bytes()
    assert place.like("database numbered") == []
    place.reopen()
    assert place.index.count == (2, 2)


def test_known_tells_folders_from_files_of_a_similar_name(place: Place) -> None:
    place.update({"users2/a.py": "", "users.py": ""})
    assert set(place.index.known("users")) == {"users/store.py", "users/model.py"}
    assert set(place.index.known("users.py")) == {"users.py"}
    assert len(place.index.known()) == 6


def test_what_nobody_wrote_is_known_and_not_indexed(place: Place) -> None:
    place.update({"large.py": "x = 1\n" * 200_000, "app.min.js": "var x", "binary.py": "\0", "rows.csv": "lookup"})
    assert len(place.index.known()) == 8
    assert place.like("lookup rows var") == place.like("lookup")


def test_changes_in_any_order_leave_what_a_new_index_has(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for text in (
        "def größe(a): pass\n",
        "class Größe: pass\n",
        "x = ٣\n",
        "\U0001e900\U0001e922 = 1\n",
        "def f(): pass\n",
    ):
        place.update({"a.py": text, "b.py": text * 3})
    place.index.remove(["b.py"])
    place.index.close()
    changed = everything(place.database)
    fresh = Index(tmp_path / "fresh.sqlite", place.root)
    for _ in fresh.update(["a.py"]):
        pass
    fresh.close()
    assert changed == everything(tmp_path / "fresh.sqlite")


def test_the_files_are_private(place: Place) -> None:
    assert stat.S_IMODE(place.database.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.database.parent.iterdir()} == {0o600}


def test_a_database_that_is_none_is_made_anew(place: Place) -> None:
    place.index.close()
    place.database.write_bytes(b"not a database at all" * 1000)
    place.reopen()
    assert place.index.count == (0, 0)
    place.update(SOURCES)
    assert place.defined("User") == [("users/model.py", 1)]


def test_another_version_is_made_anew(place: Place) -> None:
    with closing(connect(place.database)) as connection:
        connection.execute("PRAGMA user_version = 1")
    place.reopen()
    assert place.index.count == (0, 0)


def test_broken_pages_are_made_anew(place: Place) -> None:
    place.index.close()
    size = place.database.stat().st_size
    with place.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    place.reopen()
    assert place.index.count == (0, 0)
    place.update(SOURCES)
    assert place.defined("User") == [("users/model.py", 1)]


def test_rebuild_forgets_everything(place: Place) -> None:
    place.index.rebuild()
    assert place.index.count == (0, 0)
    assert place.like("lookup") == []


def test_careful_reading_comes_to_the_same(place: Place, tmp_path: Path) -> None:
    for _ in place.index.update(SOURCES, careful=True):
        pass
    place.index.close()
    careful = everything(place.database)
    fresh = Index(tmp_path / "fresh.sqlite", place.root)
    for _ in fresh.update(SOURCES):
        pass
    fresh.close()
    assert careful == everything(tmp_path / "fresh.sqlite")


INDEXING = """
import sys
from pathlib import Path
from ingle_daemon.workspace.index import Index
index = Index(Path(sys.argv[1]), Path(sys.argv[2]))
for _ in index.update(sys.stdin.read().split()):
    print(*index.count, flush=True)
"""


def test_killed_while_it_writes_it_goes_on_where_it_was(tmp_path: Path) -> None:
    root = tmp_path / "root"
    paths = [f"f{number}.py" for number in range(600)]
    root.mkdir()
    for number, path in enumerate(paths):
        (root / path).write_text(f"def function_{number}(a):\n    return other_{number}(a)\n" * 20)
    database = tmp_path / "killed.sqlite"
    for batches in (1, 3):
        child = subprocess.Popen(
            [sys.executable, "-c", INDEXING, str(database), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n".join(paths))
        child.stdin.close()
        for _ in range(batches):
            assert child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
        everything(database)  # whole, whatever it holds
    with closing(Index(database, root)) as index:
        known = index.known()
        assert 0 < len(known) < len(paths)
        for _ in index.update([path for path in paths if path not in known]):
            pass
        assert index.count == (600, 600)
    with closing(Index(tmp_path / "whole.sqlite", root)) as index:
        for _ in index.update(paths):
            pass
    assert everything(database) == everything(tmp_path / "whole.sqlite")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("searched"))
    made.update(SOURCES)
    yield made
    made.index.close()


DYING = """
import os, sys
from pathlib import Path
from ingle_daemon.workspace import index as indexing
cut = indexing.cut
indexing.cut = lambda path, source: os._exit(9) if path == "bad.py" else cut(path, source)
index = indexing.Index(Path(sys.argv[1]), Path(sys.argv[2]))
todo = [path for path in ("a.py", "bad.py", "c.py") if path not in index.known()]
for _ in index.update(todo, careful=True):
    pass
"""


def test_a_file_that_ends_its_reader_does_so_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for path in ("a.py", "bad.py", "c.py"):
        (place.root / path).write_text("def f(): pass\n")
    command = [sys.executable, "-c", DYING, str(place.database), str(place.root)]
    assert [subprocess.run(command).returncode for _ in range(2)] == [9, 0]
    place.reopen()
    assert place.index.count == (3, 2)
    assert sorted(place.defined("f")) == [("a.py", 1), ("c.py", 1)]
    place.index.close()


SYNTAX = st.sampled_from(
    ['"', "'", "*", "^", "(", ")", "{", "}", ":", "+", "-", ",", "NEAR", "AND", "OR", "NOT", "text:", "\0"]
)
ASKED = st.one_of(
    st.text(), st.lists(st.one_of(SYNTAX, st.sampled_from(["lookup", "zebra"])), max_size=8).map(" ".join)
)


@settings(deadline=None)
@given(text=ASKED)
def test_no_text_is_syntax(searched: Place, text: str) -> None:
    """Only the words of a question count: with "lookup" it finds two, whatever stands around; without, none of them."""
    found = searched.like(text)
    if "lookup" in text.split():
        assert {"users/store.py", "billing/invoice.py"} <= set(found)
    elif set(text.split()) <= {
        '"',
        "'",
        "*",
        "^",
        "(",
        ")",
        "{",
        "}",
        ":",
        "+",
        "-",
        ",",
        "zebra",
        "NEAR",
        "AND",
        "OR",
        "\0",
    }:
        assert found == []


@settings(deadline=None)
@given(names=st.lists(st.text(), max_size=5), not_in=st.text())
def test_any_names_are_asked_for(searched: Place, names: list[str], not_in: str) -> None:
    assert all(snippet.path in SOURCES for snippet in searched.search.definitions(names, limit=5, not_in=not_in))


def test_a_workspace_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    index = Index(tmp_path / "a.sqlite", tmp_path / "none")
    with closing(index), pytest.raises(FileNotFoundError):
        next(index.update(["a.py"]))
