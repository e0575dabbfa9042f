"""`ingle model …`: list, fetch and choose models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.render import model_list
from ingle_shell.screen import Screen

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare them."""
    parser = commands.add_parser("model", help="list, fetch and choose models")
    model = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(model, "list", "the models on this machine", Command(_list, model_list), as_json=True)
    pull = _add(model, "pull", "fetch a model", Command(_pull, lambda _: ""))
    pull.add_argument("name", metavar="NAME", nargs="?", help="without it, ingle offers one")
    use = _add(model, "use", "answer with this model", Command(_use, lambda answer: f"using {answer['current']}"))
    use.add_argument("name", metavar="NAME")


def _list(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/models")


def _pull(options: argparse.Namespace) -> None:
    from ingle_shell import first_run

    if options.name:
        first_run.fetch(options.name, Screen())
    else:
        first_run.pull_offered()


def _use(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/models/use", {"model": options.name})
