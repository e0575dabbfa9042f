"""The model store, on a real disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ingle_daemon.errors import NoModel
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Entry
from ingle_daemon.models.store import Installed, Store

STARTER = catalog.load().starter


def entry(name: str) -> Entry:
    return msgspec.structs.replace(STARTER, name=name)


def install(store: Store, name: str, content: bytes = b"weights") -> Installed:
    with store.staging() as staging:
        staged = staging / "made.gguf"
        staged.write_bytes(content)
        return store.adopt(entry(name), staged, sha256="0" * 64, source="a test")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_reading_an_empty_store_makes_nothing(store: Store) -> None:
    assert store.installed() == []
    assert store.get("one") is None
    assert store.current() is None
    assert not store.root.exists()


def test_an_adopted_model_is_installed_and_current(store: Store) -> None:
    adopted = install(store, "one", b"weights")
    assert adopted.path == store.root / "one" / STARTER.filename
    assert adopted.path.read_bytes() == b"weights"
    assert adopted.size_bytes == 7
    assert store.installed() == [adopted]
    assert store.get("one") == store.current() == adopted


def test_nobody_else_may_read_the_store(store: Store) -> None:
    adopted = install(store, "one")
    assert {mode(store.root), mode(adopted.path.parent)} == {0o700}
    files = [path for path in store.root.rglob("*") if path.is_file()]
    assert {mode(path) for path in files} == {0o600}


def test_the_first_model_stays_current_until_another_is_chosen(store: Store) -> None:
    first, second = install(store, "zeta"), install(store, "alpha")
    assert store.installed() == [second, first]
    assert store.current() == first
    assert store.use("alpha") == second
    assert store.current() == second
    assert Store(store.root).current() == second


def test_where_the_chosen_model_is_gone_the_first_one_is_current(store: Store) -> None:
    first, second = install(store, "alpha"), install(store, "beta")
    store.use("beta")
    second.path.unlink()
    assert store.current() == first


@pytest.mark.parametrize("name", ["missing", "../one", "", ".", "one/../one"])
def test_a_model_that_is_not_installed_cannot_be_used(store: Store, name: str) -> None:
    install(store, "one")
    with pytest.raises(NoModel, match="not installed") as caught:
        store.use(name)
    assert "Installed: one." in caught.value.hint


def test_a_choice_that_cannot_be_written_is_explained(store: Store) -> None:
    install(store, "one")
    (store.root / "current").unlink()
    (store.root / "current").mkdir()
    with pytest.raises(NoModel, match="cannot choose one in"):
        store.use("one")


def test_a_model_without_its_record_is_not_there(store: Store) -> None:
    adopted = install(store, "one")
    (adopted.path.parent / "model.json").unlink()
    assert store.installed() == []


def test_a_model_cut_short_on_disk_is_not_there(store: Store) -> None:
    adopted = install(store, "one", b"weights")
    adopted.path.write_bytes(b"weig")
    assert store.get("one") is None


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"name": "one"}', b"\xff"])
def test_a_damaged_record_hides_the_model_and_breaks_nothing(store: Store, record: bytes) -> None:
    adopted = install(store, "one")
    (adopted.path.parent / "model.json").write_bytes(record)
    assert store.installed() == []


def test_a_record_cannot_point_out_of_its_folder(store: Store) -> None:
    adopted = install(store, "one", b"weights")
    (store.root / "secret").write_bytes(b"weights")
    record = adopted.path.parent / "model.json"
    record.write_bytes(record.read_bytes().replace(STARTER.filename.encode(), b"../secret"))
    assert store.installed() == []


def test_adopting_again_replaces_the_model(store: Store) -> None:
    install(store, "one", b"old")
    assert install(store, "one", b"newer").path.read_bytes() == b"newer"
    assert [model.size_bytes for model in store.installed()] == [5]


def test_staging_is_removed_when_it_fails(store: Store) -> None:
    def fail(staging: Path) -> None:
        (staging / "half").write_bytes(b"x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.staging() as staging:
        fail(staging)
    assert list(store.root.glob(".staging-*")) == []


def test_what_a_killed_process_left_is_swept_and_a_living_one_spared(store: Store) -> None:
    script = (
        "import os, pathlib, sys; from ingle_daemon.models.store import Store\n"
        "with Store(pathlib.Path(sys.argv[1])).staging() as staging:\n"
        "    (staging / 'half').write_bytes(b'x'); os._exit(9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(store.root)], check=False)
    assert killed.returncode == 9
    assert len(list(store.root.glob(".staging-*/half"))) == 1
    with store.staging() as living, store.staging() as another:
        assert set(store.root.glob(".staging-*")) == {living, another}
