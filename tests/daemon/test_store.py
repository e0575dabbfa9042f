"""The model store, on a real disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingle_daemon.errors import NoModel
from ingle_daemon.models import seal
from ingle_daemon.models.store import Installed, Store

FILE = "weights.gguf"


def install(store: Store, name: str, content: bytes = b"weights") -> Installed:
    with store.staging() as staging:
        staged = staging / "made.gguf"
        staged.write_bytes(content)
        return store.adopt(name, staged, file=FILE, sha256=sha256(content), source="a test")


def refer(store: Store, name: str, path: Path) -> Installed:
    return store.refer(name, path, seal.seal(path, seal.digest(path)), source="a test")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
    assert adopted.path == store.root / "one" / FILE
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


@pytest.mark.parametrize(
    ("name", "fetchable", "hint"),
    [
        ("qwen3-8b", True, "`ingle model pull qwen3-8b` fetches it."),
        ("qwen3-8b:Q5_K_M", True, "`ingle model pull qwen3-8b:Q5_K_M` fetches it."),
        ("smolm", True, "Did you mean smollm?"),
        ("phi", True, "Installed: smollm. The catalog has phi-4-mini-instruct: `ingle model pull NAME` fetches one."),
        ("zzz", True, "Installed: smollm. `ingle model search` names what can be fetched."),
        ("qwen3-8b", False, "Installed: smollm."),
    ],
)
def test_what_there_is_instead_is_told(store: Store, name: str, fetchable: bool, hint: str) -> None:
    install(store, "smollm")
    with pytest.raises(NoModel) as caught:
        store.find(name, fetchable=fetchable)
    assert caught.value.hint == hint


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
    record.write_bytes(record.read_bytes().replace(FILE.encode(), b"../secret"))
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


KILLED = """
import os, pathlib, sys
from ingle_daemon.models import store
root, at = pathlib.Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def killed(event, arguments):
    global steps
    if event == "os.rename" and str(root) in str(arguments[1]):
        steps += 1
        if steps == at:
            os._exit(9)

with store.Store(root).staging() as staging:
    made = staging / "made.gguf"
    made.write_bytes(b"weights")
    sys.addaudithook(killed)
    if sys.argv[3] == "adopt":
        store.Store(root).adopt("one", made, file="weights.gguf", sha256="0" * 64, source="a test")
    else:
        store.Store(root).remove("one")
"""


@pytest.mark.parametrize(("what", "at"), [("adopt", step) for step in range(1, 6)] + [("remove", 1)])
def test_whenever_it_is_killed_a_model_is_there_or_it_is_not(store: Store, what: str, at: int) -> None:
    """Each rename is a step; what was left is swept by the next who stages."""
    if what == "remove":
        install(store, "one")
    argv = [sys.executable, "-c", KILLED, str(store.root), str(at), what]
    steps_are_over = subprocess.run(argv, check=False).returncode == 0
    assert steps_are_over == (what == "adopt" and at == 5)
    assert store.broken() == []
    install(store, "other")
    names = {model.name for model in store.installed()}
    assert {path.name for path in store.root.iterdir()} - {"current"} == {".lock", *names}
    assert names <= {"one", "other"}
    assert steps_are_over <= ("one" in names)


# --- files that lie elsewhere ----------------------------------------------------------------------------


def test_a_file_that_lies_elsewhere_is_installed_where_it_is(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"weights")
    model = refer(store, "own", path)
    assert (model.path, model.elsewhere, model.sha256) == (path, True, sha256(b"weights"))
    assert store.installed() == [model]
    assert store.current() == model
    assert [entry.name for entry in (store.root / "own").iterdir()] == ["model.json"]


def test_removing_a_model_removes_its_file_and_spares_one_that_lies_elsewhere(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"weights")
    refer(store, "own", path)
    mine = install(store, "one")
    for name in ("own", "one"):
        store.remove(name)
    assert store.installed() == []
    assert path.read_bytes() == b"weights"
    assert not mine.path.parent.exists()
    assert store.current() is None


def test_a_file_that_its_owner_removed_is_told_as_such(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"weights")
    refer(store, "own", path)
    path.unlink()
    assert store.installed() == []
    assert [(bad.name, bad.path) for bad in store.broken()] == [("own", path)]
    with pytest.raises(NoModel, match=r"own\.gguf is gone") as caught:
        store.find("own")
    assert "ingle model rm own" in caught.value.hint


def test_a_file_of_another_size_is_told_as_such(store: Store) -> None:
    install(store, "one", b"weights").path.write_bytes(b"weig")
    with pytest.raises(NoModel, match="has 4 bytes instead of 7"):
        store.use("one")


# --- seals -----------------------------------------------------------------------------------------------


def tamper(path: Path, content: bytes) -> None:
    """Other content, of another time however coarse the disk's clock is."""
    path.write_bytes(content)
    os.utime(path, ns=(10**9, 10**9))


def check(model: Installed) -> None:
    assert model.seal
    seal.check(model.path, model.seal, model.name)


def test_a_file_as_it_was_installed_is_not_even_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(store, "one")
    monkeypatch.setattr(seal, "digest", lambda *_: pytest.fail("it was read"))
    check(model)


def test_a_file_that_was_changed_does_not_load(store: Store) -> None:
    model = install(store, "one", b"weights")
    tamper(model.path, b"WEIGHTS")
    with pytest.raises(NoModel, match="is not the one that was installed") as caught:
        check(store.find("one"))
    assert "ingle model rm one" in caught.value.hint


def test_a_file_that_was_only_touched_loads(store: Store) -> None:
    model = install(store, "one", b"weights")
    tamper(model.path, b"weights")
    check(store.find("one"))


def test_a_file_that_is_gone_does_not_load(store: Store) -> None:
    model = install(store, "one")
    model.path.unlink()
    with pytest.raises(NoModel, match="cannot read") as caught:
        check(model)
    assert "INGLE_MODEL" not in caught.value.hint, "nobody set it"


def test_what_was_found_of_a_file_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(store, "one", b"weights")
    tamper(model.path, b"weights")
    store.reseal("one", intact=True)
    with monkeypatch.context() as patch:
        patch.setattr(seal, "digest", lambda *_: pytest.fail("it was read"))
        check(store.find("one"))
    times = model.path.stat()
    model.path.write_bytes(b"WEIGHTS")
    os.utime(model.path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk that forgets a bit leaves it
    store.reseal("one", intact=False)
    with pytest.raises(NoModel):
        check(store.find("one"))
