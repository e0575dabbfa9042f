"""`ingle load|unload`: have the model in memory now, or out of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.screen import Screen

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_PATIENCE = 10.0


def add(commands: Commands) -> None:
    """Declare them."""
    _add(commands, "load", "have the model in memory before it is asked", Command(_load, _said_of_load))
    _add(commands, "unload", "free the model's memory until it is asked again", Command(_unload, _said_of_unload))


def _load(_: argparse.Namespace) -> Any:
    screen = Screen()
    if screen.interactive:
        screen.note("loading …", dim=True)
    return call("POST", "/ingle/load")


def _unload(_: argparse.Namespace) -> Any:
    return call("POST", "/ingle/unload", patience=_PATIENCE)


def _said_of_load(answer: Any) -> str:
    return f"{answer['model']} is loaded"


def _said_of_unload(answer: Any) -> str:
    return "the model is unloaded" if answer["unloaded"] else "no model was loaded"
