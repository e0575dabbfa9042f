"""The daemon's workspaces: every editor's folder that has an index, and the questions that can be asked of it.

An index is opened once, however many editors look at it, and is kept by a process of its own (`indexer.py`).
Questions are answered in a thread, from what is indexed so far. It knows nothing of completions.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ingle_daemon.errors import UsageError
from ingle_daemon.storage import is_damaged, remove_database
from ingle_daemon.workspace.database import lock_file
from ingle_daemon.workspace.report import Report
from ingle_daemon.workspace.search import Search, Snippet
from ingle_daemon.workspace.supervisor import Supervisor

__all__ = ["Snippet", "Workspaces"]

_MOST_OPEN = 8
_MOST_NAMES = 200
_RETRY_S = 60.0
_KEPT_S = 60 * 24 * 3600
"""An index that was not opened for so long is removed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Workspace:
    supervisor: Supervisor
    search: Search


class Workspaces:
    """The indexes in `directory`, which is private to the user and may be deleted at any time.

    A root is named by its absolute path. At most eight are open: the one asked for least recently makes room.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[Path, _Workspace] = {}  # the one asked for last comes last
        self._roots: dict[str, Path] = {}
        self._news = asyncio.Event()
        self._stopping: set[asyncio.Task[None]] = set()

    async def open(self, root: str) -> None:
        """Begin to index the folder `root`, or go on. It costs nothing when it is open: call it with every request.

        Raises UsageError when `root` is no folder, or one that is too much for a workspace.
        """
        if root not in self._roots:
            real = await asyncio.to_thread(_checked, root)
            await asyncio.to_thread(_remove_unused, self._directory)
            if len(self._roots) >= _MOST_NAMES:
                self._roots.clear()
            self._roots[root] = real
        real = self._roots[root]
        workspace = self._open.pop(real, None)
        if workspace is None or workspace.supervisor.ended_for() > _RETRY_S:
            workspace = self._begun(real)
        self._open[real] = workspace
        if len(self._open) > _MOST_OPEN:
            self._stop(next(iter(self._open)))

    async def definitions(
        self, root: str, names: Sequence[str], *, limit: int, not_in: str = ""
    ) -> tuple[Snippet, ...]:
        """The heads of what is called so in the open workspace `root`; not those in its file `not_in`."""
        return await self._ask(root, lambda search: search.definitions(names, limit=limit, not_in=not_in))

    async def similar(self, root: str, text: str, *, limit: int, not_in: str = "") -> tuple[Snippet, ...]:
        """The pieces of the open workspace `root` that resemble `text`; none of its file `not_in`."""
        return await self._ask(root, lambda search: search.similar(text, limit=limit, not_in=not_in))

    async def symbol(self, root: str, name: str, *, limit: int) -> tuple[Snippet, ...]:
        """The whole definitions of `name` in the open workspace `root`."""
        return await self._ask(root, lambda search: search.whole(Path(root), name, limit=limit))

    async def ready(self, root: str, patience: float) -> Report:
        """What the indexer of the open workspace `root` says: that it is done, or what it says after `patience` s."""
        with contextlib.suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self.wait(root, lambda report: report.state != "scanning"), patience)
        return self._open[self._roots[root]].supervisor.report

    def status(self) -> list[dict[str, Any]]:
        """Each open workspace: its root, its indexer's process, and what that reported last."""
        return [
            {"root": str(root), "pid": supervisor.pid, **msgspec.structs.asdict(supervisor.report)}
            for root, supervisor in ((root, workspace.supervisor) for root, workspace in self._open.items())
        ]

    async def wait(self, root: str, until: Callable[[Report], bool]) -> Report:
        """What the indexer of the open workspace `root` says, as soon as it is what the caller waits for."""
        supervisor = self._open[self._roots[root]].supervisor
        while not until(supervisor.report):
            await self._news.wait()
        return supervisor.report

    async def close(self) -> None:
        """End every indexer and wait until they are gone."""
        for root in list(self._open):
            self._stop(root)
        await asyncio.gather(*self._stopping)

    async def _ask(self, root: str, question: Callable[[Search], list[Snippet]]) -> tuple[Snippet, ...]:
        real = self._roots.get(root)
        workspace = self._open.get(real) if real else None
        if workspace is None or workspace.supervisor.report.state == "private":
            return ()
        try:
            return tuple(await asyncio.to_thread(question, workspace.search))
        except sqlite3.DatabaseError as exc:
            removed = workspace.supervisor.report.state == "ready" and not workspace.supervisor.database.exists()
            if removed or is_damaged(exc):
                _log.warning("an index is damaged and made anew")
                workspace.supervisor.make_anew()
            return ()  # otherwise it is being made

    def _begun(self, root: Path) -> _Workspace:
        database = self._directory / f"{sha256(os.fsencode(root)).hexdigest()[:32]}.sqlite"
        return _Workspace(Supervisor(root, database, self._hear), Search(database))

    def _stop(self, root: Path) -> None:
        task = asyncio.create_task(self._open.pop(root).supervisor.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _hear(self) -> None:
        """Wake those who wait; the next ones wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()


def _checked(root: str) -> Path:
    """The folder that `root` names, by its real path."""
    if not os.path.isabs(root) or not os.path.isdir(root):  # noqa: PTH112, PTH117 - it may hold a NUL
        raise UsageError(f"{root} is not a folder", hint="Give the absolute path of a workspace.")
    real = Path(root).resolve()
    if Path.home().resolve().is_relative_to(real):
        raise UsageError(f"{real} is too much for a workspace: it holds your home", hint="Open a project's folder.")
    return real


def _remove_unused(directory: Path) -> None:
    """Remove the indexes that nobody has had open for long: they hold people's code."""
    for database in directory.glob("*.sqlite"):
        lock = lock_file(database)
        with contextlib.suppress(OSError), lock.open("rb") as held:
            if time.time() - lock.stat().st_mtime > _KEPT_S:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_database(database)
                lock.unlink()
