"""`ingle model pull|import|verify|rm` against a real daemon: licences, files in place, tampering, removal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daemon.pulling.hub import FILE, REPO, Hub
from daemon.pulling.pulls import PULL, assert_consistent, kept, store_of
from daemon.pulling.test_elsewhere import MODEL
from shell.conftest import Spawn, spawn
from shell.test_terminal import seen
from support import Instance, new_instance

__all__ = ["spawn"]  # the shell tests' fixture

RESTRICTED = "qwen2.5-coder-3b-instruct"


@pytest.fixture
def instance(user: Instance) -> Instance:
    """Whose programs `spawn` starts."""
    return user


@pytest.fixture
def file(user: Instance, model: bytes) -> Path:
    """A GGUF of the user's own."""
    path = user.root / "My Model.gguf"
    path.write_bytes(model)
    return path


# --- licences --------------------------------------------------------------------------------------------


def test_a_restricted_licence_is_to_be_accepted_first(user: Instance, hub: Hub) -> None:
    done = user.run("ingle", "model", "pull", RESTRICTED)
    assert done.returncode == 2
    assert "licence that restricts its use: Qwen" in done.stderr
    assert "--accept-license" in done.stderr
    assert "https://" in done.stderr
    assert hub.requests == []
    accepted = user.run("ingle", "model", "pull", RESTRICTED, "--accept-license")
    assert accepted.returncode == 4  # the hub of the tests has no such repository
    assert "the hub" in accepted.stderr


@pytest.mark.parametrize(("key", "status"), [("", 2), ("n", 2), ("y", 4)])
def test_on_a_terminal_the_licence_is_shown_and_no_is_what_return_means(
    spawn: Spawn, hub: Hub, key: str, status: int
) -> None:
    child = spawn(f"ingle model pull {RESTRICTED}")
    child.expect("restricts its use: Qwen")
    child.expect("https://")
    child.expect_exact("Do you accept it? [y/N] ")
    child.sendline(key)
    seen(child)
    assert child.exitstatus == status


# --- files in place --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("pull", "./My Model.gguf"), ("import", "My Model.gguf")])
def test_a_file_of_the_users_own_is_used_where_it_is(user: Instance, file: Path, command: tuple[str, str]) -> None:
    done = user.run("ingle", "model", *command)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_consistent(store_of(user), "my-model")
    found = store_of(user).find("my-model")
    assert (found.path, found.source, found.elsewhere) == (file, str(file), True)
    assert f"in place: {file}" in user.run("ingle", "model", "list").stdout


def test_offline_a_file_that_is_here_can_be_used_and_nothing_is_fetched(user: Instance, file: Path, hub: Hub) -> None:
    user.configure("offline = true\n")
    for wanted in (f"hf:{REPO}:{FILE}", hub.url(), "smollm2-135m-instruct"):
        done = user.run("ingle", "model", "pull", wanted)
        assert done.returncode == 8
        assert "offline = true" in done.stderr
    assert user.run("ingle", "model", "pull", str(file)).returncode == 0
    assert hub.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"<html>" * 100, "is not a GGUF file"), (b"GGUF\x03\0\0\0", "cut short"), (None, "cannot")],
)
def test_a_file_that_is_no_model_is_not_installed(user: Instance, content: bytes | None, message: str) -> None:
    path = user.root / "m.gguf"
    if content is not None:
        path.write_bytes(content)
    done = user.run("ingle", "model", "import", str(path))
    assert done.returncode == 4
    assert message in done.stderr
    assert_consistent(store_of(user))


def test_a_pipe_and_a_folder_are_no_models(user: Instance) -> None:
    os.mkfifo(user.root / "pipe.gguf")
    (user.root / "folder.gguf").mkdir()
    for name in ("pipe.gguf", "folder.gguf"):
        done = user.run("ingle", "model", "import", name)
        assert done.returncode == 4
        assert f"{name} is no file" in done.stderr


def test_another_digest_than_expected_is_refused(user: Instance, file: Path) -> None:
    done = user.run("ingle", "model", "pull", str(file), "--sha256", "0" * 64)
    assert done.returncode == 4
    assert "instead of 000" in done.stderr
    assert_consistent(store_of(user))


def test_a_file_that_its_owner_removed_is_told(user: Instance, file: Path) -> None:
    user.run("ingle", "model", "import", str(file))
    file.unlink()
    assert "is gone: moved or removed" in user.run("ingle", "model", "list").stdout
    assert f"broken    my-model: {file} is gone" in user.run("ingle", "status").stdout
    done = user.run("ingle", "model", "use", "my-model")
    assert done.returncode == 4
    assert "My Model.gguf is gone" in done.stderr
    assert "ingle model rm my-model" in done.stderr
    assert user.run("ingle", "model", "verify", "my-model").returncode == 4
    assert user.run("ingle", "model", "rm", "my-model").returncode == 0
    assert_consistent(store_of(user))


# --- other programs --------------------------------------------------------------------------------------


@pytest.fixture
def others(user: Instance, hub: Hub, model: bytes) -> Path:
    """A home in which Ollama and LM Studio keep the model."""
    blob = user.root / ".ollama/models/blobs" / f"sha256-{hub.sha256}"
    studio = user.root / ".lmstudio/models/publisher/repository/m-Q4_K_M.gguf"
    manifest = user.root / ".ollama/models/manifests/registry.ollama.ai/library/llama3.2/3b"
    for path in (blob, studio, manifest):
        path.parent.mkdir(parents=True)
    blob.write_bytes(model)
    studio.write_bytes(model)
    manifest.write_text(json.dumps({"layers": [{"mediaType": MODEL, "digest": f"sha256:{hub.sha256}"}]}))
    return user.root


def test_what_other_programs_keep_is_listed(user: Instance, others: Path) -> None:
    done = user.run("ingle", "model", "import")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "lmstudio   publisher/repository/m-Q4_K_M.gguf  12 MB",
        "ollama     llama3.2:3b  12 MB",
    ]
    (found,) = json.loads(user.run("ingle", "model", "import", "--from", "ollama", "--json").stdout)
    assert (found["name"], found["size_bytes"]) == ("llama3.2:3b", 12_000_128)


def test_a_model_of_another_program_is_used_without_a_copy(
    user: Instance, others: Path, hub: Hub, model: bytes
) -> None:
    assert user.run("ingle", "model", "import", "llama3.2:3b").returncode == 0
    assert user.run("ingle", "model", "import", "m-Q4_K_M.gguf", "--as", "studio").returncode == 0
    assert_consistent(store_of(user), "llama3.2-3b", "studio")
    found = store_of(user).find("llama3.2-3b")
    assert (found.sha256, found.source) == (hub.sha256, "ollama: llama3.2:3b")
    assert user.run("ingle", "model", "rm", "llama3.2-3b", "--force").returncode == 0
    assert found.path.read_bytes() == model


def test_a_blob_that_is_not_what_its_name_says_is_not_imported(user: Instance, others: Path, hub: Hub) -> None:
    blob = others / ".ollama/models/blobs" / f"sha256-{hub.sha256}"
    with blob.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    done = user.run("ingle", "model", "import", "llama3.2:3b")
    assert done.returncode == 4
    assert f"instead of {hub.sha256}" in done.stderr
    assert_consistent(store_of(user))


def test_a_name_that_no_program_has_is_refused(user: Instance) -> None:
    done = user.run("ingle", "model", "import", "nothing")
    assert done.returncode == 4
    assert "no program keeps a model 'nothing'" in done.stderr
    assert user.run("ingle", "model", "import").stdout.startswith("no other program keeps a model here")


# --- verify ----------------------------------------------------------------------------------------------


def test_verify_reads_every_byte_again(user: Instance, file: Path) -> None:
    user.run(*PULL)
    user.run("ingle", "model", "import", str(file))
    done = user.run("ingle", "model", "verify")
    assert (done.returncode, done.stdout) == (0, "my-model is as it was installed\ntiny is as it was installed\n")
    assert "checking tiny (12 MB)" in done.stderr
    damage(file)
    done = user.run("ingle", "model", "verify", "--json")
    assert done.returncode == 4
    answer = json.loads(done.stdout)
    assert [(model["model"], model["ok"]) for model in answer["error"]["models"]] == [
        ("my-model", False),
        ("tiny", True),
    ]
    assert user.run("ingle", "model", "verify", "tiny").returncode == 0
    assert user.run("ingle", "model", "verify", "other").returncode == 4


def damage(path: Path) -> None:
    """Change one byte and nothing that a look at the file tells, as a failing disk does."""
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.model
def test_a_tampered_file_never_loads(starter: Path) -> None:
    user = new_instance()
    try:
        copy = user.root / "starter.gguf"
        copy.write_bytes(starter.read_bytes())
        assert user.run("ingle", "model", "import", str(copy)).returncode == 0
        limit = ("--max-tokens", "2", "hi")
        assert user.run("ask", *limit).returncode == 0
        damage(copy)
        os.utime(copy)
        assert user.run("ingle", "model", "use", "starter").returncode == 0
        done = user.run("ask", *limit)
        assert (done.returncode, done.stdout) == (4, "")
        assert "is not the one that was installed" in done.stderr
        assert "ingle model rm starter" in done.stderr
        damage(copy)  # back again
        assert user.run("ingle", "model", "verify").returncode == 0
        assert user.run("ask", *limit).returncode == 0
        damage(copy)  # behind the back of size and time
        assert user.run("ingle", "model", "verify").returncode == 4
        assert user.run("ingle", "model", "use", "starter").returncode == 0
        assert user.run("ask", *limit).returncode == 4
    finally:
        user.close()


# --- rm --------------------------------------------------------------------------------------------------


def test_the_model_that_answers_is_removed_only_by_force(user: Instance) -> None:
    for name in ("first", "second"):
        user.run(*PULL[:4], "--as", name)
    refused = user.run("ingle", "model", "rm", "first")
    assert refused.returncode == 2
    assert "is the model that answers" in refused.stderr
    assert "--force" in refused.stderr
    assert_consistent(store_of(user), "first", "second")
    assert user.run("ingle", "model", "rm", "second").stdout == "removed second\n"
    assert_consistent(store_of(user), "first")
    assert json.loads(user.run("ingle", "model", "rm", "first", "--force", "--json").stdout) == {"removed": "first"}
    assert store_of(user).installed() == []


def test_what_is_not_there_cannot_be_removed(user: Instance) -> None:
    done = user.run("ingle", "model", "rm", "nothing")
    assert done.returncode == 4
    assert "'nothing' is not installed" in done.stderr


@pytest.mark.parametrize("name", ["../models", "..", ".partial", "a/../tiny"])
def test_nothing_but_a_model_can_be_removed(user: Instance, name: str) -> None:
    user.run(*PULL)
    assert user.run("ingle", "model", "rm", name, "--force").returncode == 4
    assert_consistent(store_of(user), "tiny")


def test_removing_drops_what_was_fetched_so_far(user: Instance, hub: Hub) -> None:
    hub.cuts = [6_000_000] * 9
    hub.takes_ranges = False
    hub.hides_length = True
    assert user.run(*PULL).returncode == 4
    assert kept(store_of(user)) > 0
    assert user.run("ingle", "model", "rm", "tiny").returncode == 0
    assert kept(store_of(user)) == 0


@pytest.mark.parametrize(("key", "status", "left"), [("", 130, ["other", "tiny"]), ("y", 0, ["other"])])
def test_on_a_terminal_it_asks_first(user: Instance, spawn: Spawn, key: str, status: int, left: list[str]) -> None:
    for name in ("other", "tiny"):
        user.run(*PULL[:4], "--as", name)
    child = spawn("ingle model rm tiny")
    child.expect_exact("Remove tiny? [y/N] ")
    child.sendline(key)
    seen(child)
    assert child.exitstatus == status
    assert [model.name for model in store_of(user).installed()] == left
