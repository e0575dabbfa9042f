"""The first model: which one to fetch. The user is asked; this module does not know where models are from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from ingle_daemon.client import call
from ingle_daemon.errors import NoModel
from ingle_shell import fetching
from ingle_shell.render import size
from ingle_shell.screen import Screen, keyboard_of_user

__all__ = ["Offer", "choose", "install_first_model", "pull_offered"]


class Offer(msgspec.Struct, frozen=True):
    """A model that can be fetched. `kind` says why it is offered."""

    name: str
    title: str
    download_bytes: int
    license: str
    kind: str = ""


class _Models(msgspec.Struct, frozen=True):
    installed: tuple[dict[str, Any], ...]
    starter: Offer
    recommended: Offer | None = None


def install_first_model(error: NoModel) -> None:
    """Fetch a model where there is none. Raises `error`, which said so, when one is chosen or installed."""
    models = _models()
    if models.installed or error.details.get("wanted"):
        raise error
    if _pull_chosen(models, _offers(models), Screen()) is None:
        raise NoModel("no model was fetched", hint="`ingle model pull` fetches one when you want it.")


def pull_offered() -> dict[str, str]:
    """Fetch the starter, or what the user chooses at the terminal; nothing where they want none."""
    screen, models = Screen(), _models()
    offers = _offers(models)
    if screen.interactive and not offers:
        screen.note("What ingle would offer is installed; `ingle model search` names more.")
        return {}
    if (fetched := _pull_chosen(models, offers, screen)) is None:
        screen.note("nothing was fetched")
    return fetched or {}


def _models() -> _Models:
    return msgspec.convert(call("GET", "/ingle/models"), _Models)


def _offers(models: _Models) -> list[Offer]:
    """What is not installed of the two that may be offered. Who has no model gets the quick one first."""
    starter = msgspec.structs.replace(models.starter, kind="the starter: small, quick")
    offers = [starter]
    if models.recommended and models.recommended.name != starter.name:
        best = msgspec.structs.replace(models.recommended, kind="recommended for this machine")
        offers = [best, starter] if models.installed else [starter, best]
    here = {model["name"] for model in models.installed}
    return [offer for offer in offers if offer.name not in here]


def _pull_chosen(models: _Models, offers: Sequence[Offer], screen: Screen) -> dict[str, str] | None:
    """The model that was fetched; None when the user declines. Where nobody can be asked, it is the starter."""
    offer: Offer | None = models.starter
    if screen.interactive and (keyboard := keyboard_of_user()):
        screen.note("Fetch another model?" if models.installed else "ingle has no model to answer with yet. Fetch one?")
        with keyboard:
            offer = choose(offers, keyboard, screen)
    return fetching.pull({"model": offer.name}, screen) if offer else None


def choose(offers: Sequence[Offer], keyboard: TextIO, screen: Screen) -> Offer | None:
    """Let the user choose; None when they decline. Enter takes the first."""
    for number, offer in enumerate(offers, 1):
        screen.note(f"  {number}  {offer.title}, {size(offer.download_bytes)}, {offer.license} ({offer.kind})")
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
