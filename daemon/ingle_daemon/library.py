"""What the commands of `ingle model` do to the models of this machine: pull, import, verify, remove.

It knows the store and its sources, and of the engine only what `Engine` says; it does not decide which model is loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Protocol

from ingle_daemon.errors import NoModel, RefusedByPrivacy, UsageError
from ingle_daemon.models import catalog, elsewhere, seal, spec
from ingle_daemon.models.catalog import Entry
from ingle_daemon.models.elsewhere import Found
from ingle_daemon.models.fetching import in_thread
from ingle_daemon.models.partial import Partials
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.spec import File, Request
from ingle_daemon.models.store import Broken, Installed, Store
from ingle_daemon.protocol import Finding, ImportRequest, Pulled, Pulling, PullRequest, Verified

__all__ = ["Engine", "Library"]


class Engine(Protocol):
    """What the daemon lets the library know of its engine, and do to it."""

    def current_model(self) -> str: ...
    async def load_if_none(self) -> None: ...
    async def reload(self) -> None: ...


class Library:
    """The models on this machine. With `offline` nothing is fetched; what is here can still be imported."""

    def __init__(self, store: Store, engine: Engine, *, offline: bool) -> None:
        self._store = store
        self._engine = engine
        self._offline = offline
        self._partials = Partials(store.root)
        self._puller = Puller(store, self._partials)

    def stay_offline(self, offline: bool) -> None:
        """Whether nothing is fetched from now on."""
        self._offline = offline

    def listing(self) -> dict[str, Any]:
        """The installed models, those that are whole no more, and the downloads that were interrupted."""
        current = self._store.current()
        return {
            "installed": [
                {
                    "name": model.name,
                    "path": str(model.path),
                    "size_bytes": model.size_bytes,
                    "current": current is not None and model.name == current.name,
                    "source": model.source,
                    "elsewhere": model.elsewhere,
                }
                for model in self._store.installed()
            ],
            "broken": [{"name": bad.name, "path": str(bad.path), "reason": bad.reason} for bad in self._store.broken()],
            "interrupted": [
                {"name": part.model, "done_bytes": part.done_bytes, "size_bytes": part.size_bytes}
                for part in self._partials.all()
            ],
        }

    async def pull(self, wanted: PullRequest) -> AsyncGenerator[Pulling | Pulled, None]:
        """Install what `wanted.model` names: see models/spec.py. The first model installed is loaded at once."""
        request = spec.parse(wanted.model, catalog.load(), name=wanted.name, sha256=wanted.sha256)
        if self._store.get(request.name) is None:
            self._may_fetch(request, wanted)
        async with contextlib.aclosing(self._install(request)) as events:
            async for event in events:
                yield event

    async def find(self) -> list[Found]:
        """The models that other programs keep on this machine."""
        return await asyncio.to_thread(elsewhere.find, elsewhere.places())

    async def take(self, wanted: ImportRequest) -> AsyncGenerator[Pulling | Pulled, None]:
        """Install a model that is here already, another program's or any file, without copying it."""
        if wanted.model.startswith("/"):
            request = spec.of_file(Path(wanted.model))
        else:
            request = elsewhere.choose(await self.find(), wanted.model, wanted.program).request()
        request = spec.called(request, wanted.name)
        async with contextlib.aclosing(self._install(request)) as events:
            async for event in events:
                yield event

    async def verify(self, name: str) -> AsyncGenerator[Pulling | Verified, None]:
        """Read every byte of a model, or of all, again. A damaged one is not loaded any more."""
        broken = [bad for bad in self._store.broken() if name in ("", bad.name)]
        models = [model for model in self._store.installed() if name in ("", model.name)]
        if name and not (broken or models):
            self._store.find(name, fetchable=False)
        findings = [Finding(bad.name, ok=False, reason=f"{bad.path} {bad.reason}") for bad in broken]
        for model in models:
            async with contextlib.aclosing(self._verify(model)) as events:
                async for event in events:
                    if isinstance(event, Finding):
                        findings.append(event)
                    else:
                        yield event
        await self._engine.load_if_none()  # one that did not load may have been mended
        yield Verified(tuple(sorted(findings, key=lambda finding: finding.model)))

    async def remove(self, name: str, *, force: bool) -> None:
        """Remove a model and what was fetched of it. Raises NoModel when there is none, UsageError for the current."""
        there: Installed | Broken | None = self._store.get(name)
        there = there or next((bad for bad in self._store.broken() if bad.name == name), None)
        current = self._engine.current_model() == name
        if there and current and not force:
            raise UsageError(
                f"{name} is the model that answers",
                hint="`ingle model use OTHER` first, or `--force`: then another one that is installed answers, if any.",
            )
        if self._partials.drop(name) == 0 and not there:
            self._store.find(name, fetchable=False)
        if not there:
            return
        try:
            await asyncio.to_thread(self._store.remove, name)
        except OSError as exc:
            raise NoModel(
                f"cannot remove {name} from {self._store.root}: {exc.strerror}",
                hint="Check the permissions of that folder.",
                path=str(self._store.root),
            ) from exc
        if current:
            await self._engine.reload()

    async def _install(self, request: Request) -> AsyncGenerator[Pulling | Pulled, None]:
        async with contextlib.aclosing(self._puller.pull(request)) as events:
            async for event in events:
                if isinstance(event, Pulled):
                    await self._engine.load_if_none()
                yield event

    async def _verify(self, model: Installed) -> AsyncGenerator[Pulling | Finding, None]:
        progress = _Progress(model)
        reading = asyncio.ensure_future(in_thread(lambda stop: seal.digest(model.path, progress.report, stop)))
        try:
            async for event in progress.until(reading):
                yield event
            found = await reading
        except OSError as exc:
            yield Finding(model.name, ok=False, reason=f"{model.path} cannot be read: {exc.strerror}")
            return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        intact = found == model.sha256
        await asyncio.to_thread(self._store.reseal, model.name, intact=intact)
        yield Finding(model.name, ok=intact, reason="" if intact else f"{model.path} is not what was installed")

    def _may_fetch(self, request: Request, wanted: PullRequest) -> None:
        if self._offline and not isinstance(request.source, File):
            raise RefusedByPrivacy(
                f"cannot fetch {request.name}: `offline = true` keeps ingle off the network",
                hint="Lift it for the download, or import a GGUF file that is here: `ingle model import`.",
            )
        entry = catalog.load().get(wanted.model) if request.listed else None
        if entry and not entry.open and not wanted.accept_license:
            raise _licence_first(entry)


class _Progress:
    """How far a thread is with reading a model."""

    def __init__(self, model: Installed) -> None:
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._done = 0
        self._moved = asyncio.Event()

    def report(self, done: int) -> None:
        """To be called from the thread."""
        self._loop.call_soon_threadsafe(self._move, done)

    async def until(self, end: asyncio.Future[str]) -> AsyncGenerator[Pulling, None]:
        """Every step that somebody who follows it is quick enough for."""
        end.add_done_callback(lambda _: self._moved.set())
        while not end.done():
            yield Pulling(self._model.name, "verify", self._done, self._model.size_bytes)
            await self._moved.wait()
            self._moved.clear()

    def _move(self, done: int) -> None:
        self._done = done
        self._moved.set()


def _licence_first(entry: Entry) -> UsageError:
    return UsageError(
        f"{entry.title} comes under a licence that restricts its use: {entry.license}",
        hint=f"Read it at {entry.license_url}, then accept it: `ingle model pull {entry.ref} --accept-license`.",
        license=entry.license,
        license_url=entry.license_url,
        model=entry.ref,
    )
