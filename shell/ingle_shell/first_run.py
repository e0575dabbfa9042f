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


def pull_offered() -> dict[str, str]:
    """Fetch the starter, or what the user chooses at the terminal. Raises NoModel when they decline."""
    return _pull_offered(_models())


def _models() -> _Models:
    return msgspec.convert(call("GET", "/ingle/models"), _Models)


def _pull_offered(models: _Models) -> dict[str, str]:
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
    return fetching.pull({"model": offer.name}, screen)


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
