"""Changes on a real disk, and what happens when the system will not tell of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from ingle_daemon.workspace.watch import EVERYTHING, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    for path in ("a/b", "ignored", "outside"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "a/old.py").write_text("")
    (tmp_path / "a/link").symlink_to(tmp_path / "outside")
    watch = Watch(tmp_path)
    assert watch.follow(["", "a", "a/b"])
    return watch


def until(watch: Watch, *paths: str) -> Collection[str]:
    """Wait until all of these were told; everything that was told meanwhile."""
    told: set[str] = set()
    while not told.issuperset(paths):
        told |= set(watch.wait())
    return told


def test_new_changed_deleted_and_renamed_files(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a/b/new.py").write_text("1")
    assert until(watch, "a/b/new.py") == {"a/b/new.py"}
    (tmp_path / "a/old.py").write_text("2")
    assert until(watch, "a/old.py") == {"a/old.py"}
    (tmp_path / "a/old.py").rename(tmp_path / "top.py")
    assert until(watch, "a/old.py", "top.py") == {"a/old.py", "top.py"}
    (tmp_path / "a/b/new.py").unlink()
    assert until(watch, "a/b/new.py") == {"a/b/new.py"}


def test_only_what_was_asked_for(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "ignored/x.py").write_text("")
    (tmp_path / "outside/x.py").write_text("")
    (tmp_path / "a/last.py").write_text("")
    assert until(watch, "a/last.py") == {"a/last.py"}


def test_a_new_folder_is_followed_and_nothing_is_missed_meanwhile(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a/c").mkdir()
    until(watch, "a/c")
    (tmp_path / "a/old.py").write_text("written before the new folder is followed")
    assert watch.follow(["", "a", "a/c"])
    assert not watch.follow(["", "a", "a/c"])
    (tmp_path / "a/c/x.py").write_text("")
    assert until(watch, "a/c/x.py", "a/old.py") == {"a/c/x.py", "a/old.py"}


def test_a_folder_that_comes_back_is_a_new_one(watch: Watch, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "a/b")
    until(watch, "a/b")
    (tmp_path / "a/b").mkdir()
    until(watch, "a/b")
    assert watch.follow(["a/b"])
    (tmp_path / "a/b/x.py").write_text("")
    until(watch, "a/b/x.py")


def test_a_folder_that_is_just_gone_does_not_matter(watch: Watch, tmp_path: Path) -> None:
    assert watch.follow(["none"])
    assert watch.trouble == ""
    (tmp_path / "x.py").write_text("")
    until(watch, "x.py")


POLLING = """
import sys
from pathlib import Path
from ingle_daemon.workspace.watch import Watch
root = Path(sys.argv[1])
watch = Watch(root, poll_s=0.01)
print(watch.follow(["", *(path.name for path in root.iterdir())]), set(watch.wait()), watch.trouble)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="inotify's limit")
@pytest.mark.parametrize(
    ("limit", "told"), [("watches", "OS file watch limit reached"), ("instances", "Too many open files")]
)
def test_past_the_system_s_limit_everything_is_looked_at(tmp_path: Path, limit: str, told: str) -> None:
    for number in range(20):
        (tmp_path / str(number)).mkdir()
    few = f"echo 5 > /proc/sys/user/max_inotify_watches; echo {5 if limit == 'watches' else 0} > /proc/sys/user/"
    command = f'{few}max_inotify_instances; exec "$0" -c "$1" "$2"'
    # A user namespace has limits of its own.
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", command, sys.executable, POLLING, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr:
        pytest.skip("user namespaces are not allowed here")
    assert done.stdout.startswith("False {''} "), done.stderr
    assert told in done.stdout


def test_polling_waits(tmp_path: Path) -> None:
    watch = Watch(tmp_path, poll_s=0.05)
    begin = time.monotonic()
    assert watch.wait() == EVERYTHING
    assert time.monotonic() - begin >= 0.05
