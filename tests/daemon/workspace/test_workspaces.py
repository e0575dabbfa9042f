"""The daemon's side, with real indexer processes: sharing, watching, refusing, privacy, and what survives."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import support
from ingle_daemon.errors import UsageError
from ingle_daemon.workspace.report import Report
from ingle_daemon.workspace.workspaces import Workspaces

SECRET = "hunter2_correct_horse"


@pytest.fixture
async def workspaces(tmp_path: Path) -> AsyncIterator[Workspaces]:
    made = Workspaces(tmp_path / "cache")
    yield made
    await made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "app").mkdir(parents=True)
    (root / "app/store.py").write_text("def load_user(name):\n    return lookup(name)\n")
    (root / "app/view.py").write_text("def show_user(user):\n    return render(user)\n")
    return root


def ready(files: int) -> Callable[[Report], bool]:
    return lambda report: report.state == "ready" and report.files == files


async def names(workspaces: Workspaces, root: Path, name: str) -> list[str]:
    return [snippet.path for snippet in await workspaces.definitions(str(root), [name], limit=5)]


async def until_defined(workspaces: Workspaces, root: Path, name: str, path: str) -> None:
    """Wait until `name` is defined in `path` alone."""
    while True:
        looks = workspaces.status()[0]["looks"]
        if await names(workspaces, root, name) == [path]:
            return
        await workspaces.wait(str(root), looked(looks))


def looked(looks: int) -> Callable[[Report], bool]:
    return lambda report: report.state == "ready" and report.looks > looks


def databases(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.sqlite"))


async def test_a_workspace_is_indexed_and_asked(workspaces: Workspaces, root: Path) -> None:
    await workspaces.open(str(root))
    report = await workspaces.wait(str(root), ready(2))
    assert (report.chunks, report.polling, report.error) == (2, "", "")
    assert await names(workspaces, root, "load_user") == ["app/store.py"]
    (snippet,) = await workspaces.similar(str(root), "render(x)", limit=3, not_in="app/store.py")
    assert (snippet.path, snippet.line, snippet.source) == ("app/view.py", 1, "similar")
    (status,) = workspaces.status()
    assert (status["root"], status["state"], status["files"]) == (str(root), "ready", 2)


async def test_several_editors_share_one_index(workspaces: Workspaces, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    spellings = [str(root), f"{root}/", f"{root}/app/..", str(tmp_path / "link")]
    await asyncio.gather(*map(workspaces.open, spellings * 3))
    for spelling in spellings:
        await workspaces.wait(spelling, ready(2))
        assert await names(workspaces, Path(spelling), "show_user") == ["app/view.py"]
    assert len(workspaces.status()) == 1
    assert len(databases(tmp_path)) == 1


async def test_every_kind_of_change_is_seen(workspaces: Workspaces, root: Path) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    (root / "new").mkdir()
    (root / "new/deep.py").write_text("def brand_new(): pass\n")
    await workspaces.wait(str(root), ready(3))
    assert await names(workspaces, root, "brand_new") == ["new/deep.py"]
    (root / "app/store.py").write_text("def load_account(name): pass\n")
    await until_defined(workspaces, root, "load_account", "app/store.py")
    assert await names(workspaces, root, "load_user") == []
    (root / "app").rename(root / "lib")
    await until_defined(workspaces, root, "show_user", "lib/view.py")
    (root / "lib/view.py").unlink()
    await workspaces.wait(str(root), ready(2))
    shutil.rmtree(root / "new")
    await workspaces.wait(str(root), ready(1))


async def test_ignored_later_is_forgotten_and_private_is_all_forgotten(
    workspaces: Workspaces, root: Path, tmp_path: Path
) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    (root / ".gitignore").write_text("view.py\n.*\n")
    await workspaces.wait(str(root), ready(1))
    (root / ".ingleignore").write_text("*\n")
    await workspaces.wait(str(root), lambda report: report.state == "private")
    assert await names(workspaces, root, "load_user") == []
    assert b"load_user" not in b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    (root / ".ingleignore").unlink()
    await workspaces.wait(str(root), ready(1))
    assert await names(workspaces, root, "load_user") == ["app/store.py"]


async def test_secrets_are_never_in_the_index(workspaces: Workspaces, root: Path, tmp_path: Path) -> None:
    for name in (".env", ".env.local", "id_rsa", "tls.key", "my_credentials.json", ".netrc", ".npmrc", "secrets.yaml"):
        (root / name).write_text(f"{SECRET} = 1\n")
    (root / "pem.txt").write_text(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.py").write_text(f"{SECRET} = 1\n")
    (root / "link").symlink_to(outside)
    await workspaces.open(str(root))
    await workspaces.wait(str(root), lambda report: report.state == "ready")
    (root / ".env").write_text(f"{SECRET} = 2\n")
    (root / "app/after.py").write_text("def after(): pass\n")
    await until_defined(workspaces, root, "after", "app/after.py")
    assert await workspaces.similar(str(root), SECRET, limit=5) == ()
    await workspaces.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert b"load_user" in kept
    assert not any(part.encode() in kept for part in (SECRET, "hunter2"))


@pytest.mark.parametrize("root", ["/", "~", "none", "relative/path", "a\0b", "/home/.."])
async def test_what_is_no_workspace_is_refused(
    workspaces: Workspaces, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError):
        await workspaces.open(str(tmp_path / "none") if root == "none" else root.replace("~", str(tmp_path)))
    assert workspaces.status() == []
    assert await workspaces.similar(root, "x", limit=1) == ()


async def test_a_killed_indexer_is_started_again(workspaces: Workspaces, root: Path) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    (status,) = workspaces.status()
    support.kill(status["pid"])
    (root / "app/after.py").write_text("def after(): pass\n")
    await workspaces.wait(str(root), ready(3))
    assert await names(workspaces, root, "after") == ["app/after.py"]


async def test_a_damaged_index_is_made_anew(workspaces: Workspaces, root: Path, tmp_path: Path) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    (database,) = databases(tmp_path)
    for path in (database, database.with_name(f"{database.name}-wal")):
        path.write_bytes(b"\xff" * path.stat().st_size)
    assert await names(workspaces, root, "load_user") == []
    await workspaces.wait(str(root), ready(2))
    assert await names(workspaces, root, "load_user") == ["app/store.py"]


async def test_a_removed_index_is_made_anew(workspaces: Workspaces, root: Path, tmp_path: Path) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    shutil.rmtree(tmp_path / "cache")
    assert await names(workspaces, root, "load_user") == []
    await workspaces.wait(str(root), ready(2))
    assert await names(workspaces, root, "load_user") == ["app/store.py"]


async def test_the_root_goes_away(workspaces: Workspaces, root: Path) -> None:
    await workspaces.open(str(root))
    await workspaces.wait(str(root), ready(2))
    shutil.rmtree(root)
    report = await workspaces.wait(str(root), lambda report: report.state == "failed")
    assert report.error == f"{root} is gone"


def test_the_indexer_ends_with_the_daemon(root: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "ingle_daemon.workspace.indexer", str(tmp_path / "cache/x.sqlite"), str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline()
    child.stdin.close()
    assert child.wait(10) == 0
    child.stdout.close()


async def test_an_index_outlives_its_daemon_and_goes_when_nobody_wants_it(root: Path, tmp_path: Path) -> None:
    for _ in range(2):
        first = Workspaces(tmp_path / "cache")
        await first.open(str(root))
        await first.wait(str(root), ready(2))
        await first.close()
    (database,) = databases(tmp_path)
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(database.with_name(f"{database.name}.lock"), (long_ago, long_ago))
    other = tmp_path / "other"
    other.mkdir()
    second = Workspaces(tmp_path / "cache")
    await second.open(str(other))
    await second.wait(str(other), ready(0))
    await second.close()
    assert database not in databases(tmp_path)
    assert len(databases(tmp_path)) == 1


async def test_the_loop_is_never_held_up(workspaces: Workspaces, root: Path) -> None:
    for number in range(400):
        (root / f"f{number}.py").write_text(f"def f{number}(a):\n    return g{number}(a)\n" * 40)
    await workspaces.open(str(root))
    longest = 0.0
    done = asyncio.create_task(workspaces.wait(str(root), ready(402)))
    while not done.done():
        begin = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - begin)
    assert longest < 0.5


def test_the_daemon_s_side_loads_no_grammar_and_no_watcher() -> None:
    heavy = "{'tree_sitter', 'tree_sitter_language_pack', 'watchfiles', 'pathspec'}"
    code = f"import sys, ingle_daemon.workspace.workspaces; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
