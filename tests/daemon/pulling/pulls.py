"""Pulls as the tests of them make them, and what must hold after each."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import psutil
import pytest

from daemon.pulling.hub import FILE, REPO
from ingle_daemon.errors import NoModel
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Hub
from ingle_daemon.models.partial import Partials
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.spec import Request, parse
from ingle_daemon.models.store import Store
from ingle_daemon.protocol import Pulled, Pulling
from support import Instance

PULL = ("ingle", "model", "pull", f"hf:{REPO}:{FILE}", "--as", "tiny")
"""The command that fetches the test hub's model."""

Events = AsyncGenerator[Pulling | Pulled, None]


def store_of(user: Instance) -> Store:
    return Store(Path(user.xdg["XDG_DATA_HOME"]) / "ingle/models")


def of_hub(sha256: str = "") -> Request:
    """The test hub's model as one of the catalog: its size there is approximate."""
    source = Hub(repo=REPO, file=FILE)
    return Request(name="tiny", file=FILE, source=source, sha256=sha256, size_bytes=11_000_000, listed=True)


def of_url(url: str, sha256: str = "") -> Request:
    return parse(url, catalog.load(), name="tiny", sha256=sha256)


async def all_of(pulls: Events) -> list[Pulling | Pulled]:
    async with contextlib.aclosing(pulls):
        return [event async for event in pulls]


async def pull(store: Store, request: Request) -> list[Pulling | Pulled]:
    """A pull to its end, and what must hold then."""
    events = await all_of(Puller(store).pull(request))
    assert_consistent(store, "tiny")
    return events


async def refusal_of(store: Store, request: Request, patience: float = 60.0) -> NoModel:
    """Why a model cannot be pulled, and what must hold then."""
    with pytest.raises(NoModel) as caught:
        await all_of(Puller(store, patience=patience).pull(request))
    assert_consistent(store)
    return caught.value


async def interrupt(pulls: Events, done_bytes: int) -> None:
    """Follow a pull until so much has come, and go away."""
    async for event in pulls:
        if isinstance(event, Pulling) and event.step == "download" and event.done_bytes >= done_bytes:
            break
    await pulls.aclose()


def kept(store: Store) -> int:
    """Bytes of downloads that can be gone on with."""
    return sum(partial.done_bytes for partial in Partials(store.root).all())


def assert_consistent(store: Store, *installed: str) -> None:
    """These models are there and whole, the first of them is current, and there is nothing half visible beside them.

    A download that was interrupted may lie in its place, for nobody to see but the next pull.
    """
    assert [model.name for model in store.installed()] == sorted(installed)
    assert store.broken() == []
    current = store.current()
    assert (current.name if current else None) == (installed[0] if installed else None)
    assert {path.name for path in store.root.glob("*")} <= {".lock", ".partial", "current", *installed}
    for name in installed:
        record = json.loads((store.root / name / "model.json").read_text())
        assert {path.name for path in (store.root / name).iterdir()} <= {"model.json", record["file"]}
    for folder in (store.root / ".partial").glob("*"):
        assert {path.name for path in folder.iterdir()} == {"part", "about.json"}
    assert children() == []


def children() -> list[str]:
    """Downloads of this process that still run."""
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    return [line for line in lines if "_process" in line or "pip" in line]
