"""KV states in host memory and on disk."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ingle_daemon.engine.shelf import Shelf, read_snapshot, write_snapshot
from ingle_daemon.engine.tokens import common_prefix

A = list(range(100))
B = list(range(1000, 1200))


def shared_with(prompt: list[int]) -> Callable[[list[int]], int]:
    return lambda tokens: common_prefix(tokens, prompt)


def test_the_state_with_the_longest_common_prefix_is_taken_once() -> None:
    shelf = Shelf(1000)
    shelf.put(tuple(A), b"a")
    shelf.put(tuple(B), b"b")
    assert shelf.take(shared_with([*B[:150], 7]), more_than=0) == (B, b"b")
    assert shelf.take(shared_with(B), more_than=0) is None
    assert shelf.take(shared_with(A), more_than=0) == (A, b"a")


def test_a_state_that_knows_little_more_than_the_cache_stays_where_it_is() -> None:
    shelf = Shelf(1000)
    shelf.put(tuple(A), b"a")
    assert shelf.take(shared_with(A), more_than=60) is None
    assert shelf.take(shared_with(A), more_than=30) == (A, b"a")


def test_the_least_recently_kept_go_first_when_it_is_full() -> None:
    shelf = Shelf(10)
    shelf.put(tuple(A), b"aaaaaa")
    shelf.put(tuple(B), b"bbbbbb")
    assert shelf.size == 6
    assert shelf.take(shared_with(A), more_than=0) is None
    shelf.put(tuple(A), b"much too large")
    assert shelf.take(shared_with(A), more_than=0) is None
    assert shelf.size == 6


def test_a_longer_state_replaces_what_it_extends_and_short_or_known_ones_are_not_wanted() -> None:
    shelf = Shelf(1000)
    shelf.put(tuple(A[:80]), b"short")
    shelf.put(tuple(A), b"long")
    assert shelf.size == len(b"long")
    assert not shelf.wants(tuple(A[:70]))
    assert not shelf.wants(tuple(B[:10]))
    assert shelf.wants(tuple(B))


def restored(folder: Path) -> Shelf:
    shelf = Shelf(10_000)
    read_snapshot(folder, shelf)
    return shelf


def test_a_snapshot_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    write_snapshot(folder, [(A, b"a" * 10), (B, b"b" * 20)], 1000)
    assert restored(folder).all() == [(A, b"a" * 10), (B, b"b" * 20)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_snapshot_is_bounded_and_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    write_snapshot(folder, [(A, b"a" * 10), (B, b"b" * 20)], 25)
    assert restored(folder).all() == [(A, b"a" * 10)]
    write_snapshot(folder, [(B, b"b" * 20)], 25)
    assert restored(folder).all() == [(B, b"b" * 20)]
    assert sum(file.stat().st_size for file in folder.iterdir() if file.name != "index") == 20


@pytest.mark.parametrize("damage", ["state", "state gone", "index", "index gone"])
def test_a_damaged_snapshot_is_ignored(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "key"
    write_snapshot(folder, [(A, b"a" * 10)], 1000)
    file = folder / ("index" if damage.startswith("index") else "0")
    if damage.endswith("gone"):
        file.unlink()
    else:
        file.write_bytes(b"x" + file.read_bytes()[1:])
    assert restored(folder).take(shared_with(A), more_than=0) is None


def test_no_snapshot_is_no_snapshot(tmp_path: Path) -> None:
    assert restored(tmp_path / "nowhere").all() == []
