"""Reading what may be anything: links at every level, pipes, large files, and bytes that nobody wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingle_daemon.workspace.reading import looks_written, read_below


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "outside.py").write_text("outside")
    handle = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    yield handle
    os.close(handle)


def test_a_file(root: int, tmp_path: Path) -> None:
    path = tmp_path / "root/a/b/c.py"
    path.write_bytes(b"x = 1\n")
    found = read_below(root, "a/b/c.py")
    assert found is not None
    assert (found.data, found.size, found.mtime_ns) == (b"x = 1\n", 6, path.stat().st_mtime_ns)


def test_nothing_outside_the_root_is_read(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/a/link.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "root/up").symlink_to(tmp_path)
    assert read_below(root, "a/link.py") is None
    assert read_below(root, "up/outside.py") is None


def test_a_pipe_and_a_folder_and_nothing_are_no_files(root: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root/pipe")
    assert [read_below(root, path) for path in ("pipe", "a", "a/none", "none/x")] == [None] * 4


def test_of_a_large_file_only_the_version_is_known(root: int, tmp_path: Path) -> None:
    (tmp_path / "root/large").write_bytes(b"x" * 101)
    found = read_below(root, "large", limit=100)
    assert found is not None
    assert (found.data, found.size) == (None, 101)


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"def f():\n    return 1\n", True),
        (b"", True),
        (b"caf\xe9 = 1\n", True),
        (b"\x7fELF\0\0", False),
        (b"a=1;" * 5_000, False),
        (b"x = 1\n" * 5_000, True),
        (b"x = 1\n" * 5_000 + b"y" * 6_000, False),
        (b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", False),
    ],
)
def test_what_people_write(data: bytes, written: bool) -> None:
    assert looks_written(data) is written
