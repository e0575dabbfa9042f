"""What takes a while and is done to models by the daemon: pull, import, verify; and how far it is.

The progress goes to standard error, as bars on a terminal and as lines elsewhere. Going away cancels it; what was
fetched until then is gone on with by the next pull. This module does not know where models are from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ingle_daemon.client import stream
from ingle_daemon.errors import UsageError
from ingle_daemon.protocol import Pulled, Pulling, Verified
from ingle_shell.render import size
from ingle_shell.screen import Screen, agrees

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["pull", "take", "verify"]

_STEPS = {"download": "fetching", "unpack": "unpacking", "verify": "checking"}


def pull(wanted: Mapping[str, object], screen: Screen) -> dict[str, str]:
    """Have the daemon fetch a model, and return its name and path. The user is asked to accept a licence."""
    try:
        return _installed("/ingle/models/pull", wanted, screen)
    except UsageError as error:
        if "license" not in error.details or not _accepts(error, screen):
            raise
    return _installed("/ingle/models/pull", {**wanted, "accept_license": True}, screen)


def take(wanted: Mapping[str, object], screen: Screen) -> dict[str, str]:
    """Have the daemon install a model that is on this machine, and return its name and path."""
    return _installed("/ingle/models/import", wanted, screen)


def verify(name: str, screen: Screen) -> list[dict[str, Any]]:
    """Have the daemon read a model again, or all: what was found of each."""
    last = _follow("/ingle/models/verify", {"model": name}, screen)
    assert isinstance(last, Verified)
    return [{"model": found.model, "ok": found.ok, "reason": found.reason} for found in last.findings]


def _accepts(error: UsageError, screen: Screen) -> bool:
    if not screen.interactive:
        return False
    screen.note(f"{error.message}\n{error.details.get('license_url', '')}".rstrip())
    return agrees("Do you accept it?", screen, otherwise=False)


def _installed(path: str, wanted: Mapping[str, object], screen: Screen) -> dict[str, str]:
    last = _follow(path, wanted, screen)
    assert isinstance(last, Pulled)
    screen.note(f"{last.model} is installed", dim=True)
    return {"model": last.model, "path": last.path}


def _follow(path: str, payload: Mapping[str, object], screen: Screen) -> Pulled | Verified | None:
    """What comes of it in the end; the progress until then is shown."""
    end = None
    meter = _bars() if screen.interactive else _lines(screen)
    with stream(path, payload) as events, meter as show:
        for event in events:
            progress = msgspec.convert(event, Pulling | Pulled | Verified)
            if isinstance(progress, Pulling):
                show(progress)
            else:
                end = progress
    return end


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Pulling], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), expand=True) as bars:
        tasks: dict[tuple[str, str], TaskID] = {}

        def show(progress: Pulling) -> None:
            key = (progress.model, progress.step)
            if key not in tasks:
                tasks[key] = bars.add_task(_STEPS.get(progress.step, progress.step))
            bars.update(tasks[key], completed=progress.done_bytes, total=progress.total_bytes or None)
            if progress.note:
                bars.console.print(progress.note, markup=False, highlight=False)

        yield show


@contextlib.contextmanager
def _lines(screen: Screen) -> Iterator[Callable[[Pulling], object]]:
    seen: set[tuple[str, ...]] = set()

    def once(text: str, *key: str) -> None:
        if key not in seen:
            seen.add(key)
            screen.note(text)

    def show(progress: Pulling) -> None:
        step = _STEPS.get(progress.step, progress.step)
        much = f" ({size(progress.total_bytes)})" if progress.total_bytes else ""
        once(f"{step} {progress.model}{much}", progress.model, progress.step)
        if progress.note:
            once(progress.note, progress.model, progress.step, progress.note)

    yield show
