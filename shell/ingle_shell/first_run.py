"""The first model: which one to fetch, and the progress of a fetch.

The daemon fetches; this module asks the user and shows how far it is. It does not know where models are from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ingle_daemon.client import call, stream
from ingle_daemon.errors import NoModel
from ingle_daemon.protocol import Pulled, Pulling
from ingle_shell.render import size
from ingle_shell.screen import Screen, keyboard_of_user

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["Offer", "choose", "fetch", "install_first_model", "pull_offered"]

_STEPS = {"download": "fetching", "unpack": "unpacking", "verify": "checking"}
_KINDS = ("the starter: small, quick", "recommended for this machine")


class Offer(msgspec.Struct, frozen=True):
    """A model that can be fetched."""

    name: str
    title: str
    download_bytes: int
    license: str


class _Models(msgspec.Struct, frozen=True):
    installed: tuple[dict[str, Any], ...]
    starter: Offer
    recommended: Offer | None = None


def install_first_model(error: NoModel) -> None:
    """Fetch a model where there is none. Raises `error`, which said so, when one is chosen or installed."""
    models = _models()
    if models.installed or error.details.get("wanted"):
        raise error
    _pull_offered(models)


def pull_offered() -> None:
    """Fetch the starter, or what the user chooses at the terminal. Raises NoModel when they decline."""
    _pull_offered(_models())


def _models() -> _Models:
    return msgspec.convert(call("GET", "/ingle/models"), _Models)


def _pull_offered(models: _Models) -> None:
    screen = Screen()
    offers = [models.starter]
    if models.recommended and models.recommended != models.starter:
        offers.append(models.recommended)
    offer: Offer | None = models.starter
    if screen.interactive and (keyboard := keyboard_of_user()):
        with keyboard:
            offer = choose(offers, keyboard, screen)
    if offer is None:
        raise NoModel("no model was fetched", hint="`ingle model pull` fetches one when you want it.")
    fetch(offer.name, screen)


def choose(offers: Sequence[Offer], keyboard: TextIO, screen: Screen) -> Offer | None:
    """Let the user choose; None when they decline. Enter takes the first."""
    screen.note("ingle has no model to answer with yet. Fetch one?")
    for number, (offer, kind) in enumerate(zip(offers, _KINDS, strict=False), 1):
        screen.note(f"  {number}  {offer.title}, {size(offer.download_bytes)}, {offer.license} ({kind})")
    screen.note("  n  none")
    numbers = [str(number) for number in range(1, len(offers) + 1)]
    while True:
        screen.note("[1] ", end="")
        line = keyboard.readline()
        answer = line.strip().lower()
        if not line or answer in ("n", "no", "none"):
            return None
        if (answer or "1") in numbers:
            return offers[int(answer or "1") - 1]
        screen.note(f"Type {', '.join(numbers)} or n; Enter alone is 1.")


def fetch(name: str, screen: Screen) -> None:
    """Have the daemon fetch a model, and show how far it is. Going away cancels it."""
    meter = _bars() if screen.interactive else _lines(screen)
    with stream("/ingle/models/pull", {"model": name}) as events, meter as show:
        for event in events:
            progress = msgspec.convert(event, Pulling | Pulled)
            if isinstance(progress, Pulling):
                show(progress)
    screen.note(f"{name} is installed", dim=True)


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Pulling], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), expand=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(progress: Pulling) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bars.add_task(_STEPS.get(progress.step, progress.step))
            bars.update(tasks[progress.step], completed=progress.done_bytes, total=progress.total_bytes or None)

        yield show


@contextlib.contextmanager
def _lines(screen: Screen) -> Iterator[Callable[[Pulling], object]]:
    seen: set[str] = set()

    def show(progress: Pulling) -> None:
        if progress.step not in seen:
            seen.add(progress.step)
            step = _STEPS.get(progress.step, progress.step)
            screen.note(f"{step} {progress.model} ({size(progress.total_bytes)})")

    yield show
