"""Pulls as a user makes them: the commands, a real daemon, a hub on the loopback, and kill -9."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.pulling.hub import FILE, PIECE, REPO, Hub
from daemon.pulling.pulls import PULL, assert_consistent, kept, store_of
from ingle_daemon.models.store import Store
from support import Instance, kill, new_instance, wait_until


@contextlib.contextmanager
def running(user: Instance, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs on; it is over at the end of the block."""
    with subprocess.Popen(argv, env=user.env, cwd=user.root, stderr=subprocess.PIPE) as command:
        try:
            yield command
        finally:
            command.kill()


def wait_until_it_holds(hub: Hub, store: Store) -> None:
    """Until all that the hub sends is on the disk, but for what the child writes at once."""
    assert hub.holding.wait(30)
    assert hub.holds_at is not None
    sent = hub.holds_at - PIECE
    wait_until(lambda: kept(store) > sent)


def goes_on(user: Instance, hub: Hub, model: bytes) -> None:
    """Nothing of the interrupted pull is visible, and the next one fetches only what is missing."""
    assert hub.left.wait(10)
    assert_consistent(store_of(user))
    there = kept(store_of(user))
    hub.holds_at, hub.sent = None, 0
    assert user.run(*PULL).returncode == 0
    assert hub.sent == len(model) - there


def test_a_pull_says_what_it_does_on_standard_error_and_nothing_else(user: Instance) -> None:
    done = user.run(*PULL)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == ["fetching tiny", "checking tiny (12 MB)", "tiny is installed"]
    assert_consistent(store_of(user), "tiny")


def test_a_program_gets_the_name_and_the_path(user: Instance) -> None:
    answer = json.loads(user.run(*PULL, "--json").stdout)
    assert answer == {"model": "tiny", "path": str(store_of(user).find("tiny").path)}


@pytest.mark.parametrize("tenth", [1, 5, 9])
def test_kill_9_of_the_daemon_in_the_middle_costs_nothing_that_came(
    user: Instance, hub: Hub, model: bytes, tenth: int
) -> None:
    user.run(*PULL[:3], f"hf:{REPO}:{FILE}", "--as", "first")  # which stays current, whatever happens
    hub.holds_at = len(model) * tenth // 10
    with running(user, *PULL) as command:
        wait_until_it_holds(hub, store_of(user))
        user.kill()
        assert command.wait(30) == 3
    assert hub.left.wait(10)  # the child is gone as well
    assert_consistent(store_of(user), "first")
    there = kept(store_of(user))
    listed = user.run("ingle", "model", "list").stdout
    assert "* first" in listed
    assert "… tiny" in listed
    assert "interrupted" in listed
    hub.holds_at, hub.sent = None, 0
    done = user.run(*PULL)
    assert done.returncode == 0, done.stderr
    assert "going on where it was interrupted" in done.stderr
    assert hub.sent == len(model) - there
    current, added = store_of(user).find("first"), store_of(user).find("tiny")
    assert added.path.read_bytes() == current.path.read_bytes() == model
    assert store_of(user).current() == current


def test_ctrl_c_ends_the_download_and_the_next_pull_goes_on(user: Instance, hub: Hub, model: bytes) -> None:
    hub.holds_at = len(model) // 2
    with running(user, *PULL) as command:
        wait_until_it_holds(hub, store_of(user))
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 130
    goes_on(user, hub, model)


def test_a_daemon_that_is_stopped_lets_the_next_one_go_on(user: Instance, hub: Hub, model: bytes) -> None:
    hub.holds_at = len(model) // 2
    with running(user, *PULL) as command:
        wait_until_it_holds(hub, store_of(user))
        assert user.run("ingle", "stop").returncode == 0
        assert command.wait(30) == 3
    goes_on(user, hub, model)


def test_two_commands_share_one_download(user: Instance, hub: Hub, model: bytes) -> None:
    user.start()
    with running(user, *PULL) as first, running(user, *PULL) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert len(hub.downloads()) == 1
    assert hub.sent == len(model)
    assert_consistent(store_of(user), "tiny")


def test_a_child_that_is_killed_is_told_and_gone_on_with(user: Instance, hub: Hub, model: bytes) -> None:
    hub.holds_at = len(model) // 2
    with running(user, *PULL) as command:
        wait_until_it_holds(hub, store_of(user))
        (child,) = [each for each in psutil.Process(user.pid).children() if "hub_process" in " ".join(each.cmdline())]
        kill(child.pid)
        assert command.wait(30) == 4
        assert command.stderr
        assert b"broke off" in command.stderr.read()
    hub.holds_at = None
    assert user.run(*PULL).returncode == 0
    assert_consistent(store_of(user), "tiny")


def test_no_address_of_the_user_is_in_the_log_or_in_the_list_of_processes(user: Instance, hub: Hub) -> None:
    hub.holds_at = 1_000_000
    address = hub.url().replace("://", "://me:s3cret@") + "?Signature=s3cret"
    user.start()
    with user.stream("/ingle/models/pull", {"model": address, "name": "tiny"}):
        assert hub.holding.wait(30)
        for process in psutil.Process(user.pid).children(recursive=True):
            assert "s3cret" not in " ".join(process.cmdline())
    assert "s3cret" not in user.log_file.read_text()


def test_a_full_disk_in_the_middle_is_told_and_leaves_everything_in_order(
    hub: Hub, model: bytes, small_disk: Path
) -> None:
    user = new_instance(
        INGLE_BACKEND="scripted",
        HF_ENDPOINT=hub.endpoint,
        NO_PROXY="127.0.0.1,localhost",
        XDG_DATA_HOME=str(small_disk),
    )
    try:
        store = Store(small_disk / "ingle/models")
        hub.holds_at = 4_000_000
        with running(user, *PULL) as command:
            wait_until_it_holds(hub, store)
            (small_disk / "other").write_bytes(bytes(10_000_000))  # somebody else takes what was free
            hub.let_go()
            assert command.wait(30) == 4
            assert command.stderr
            said = command.stderr.read().decode()
        assert "not enough disk space: tiny needs" in said
        assert "are kept for the next try" in said
        assert_consistent(store)
        done = user.run(*PULL)
        assert done.returncode == 4
        assert "not enough disk space: tiny needs" in done.stderr
        assert "`ingle model rm tiny` frees them" in done.stderr
        assert_consistent(store)
        (small_disk / "other").unlink()
        assert user.run(*PULL).returncode == 0
        assert_consistent(store, "tiny")
    finally:
        user.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB of its own, where this user may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
