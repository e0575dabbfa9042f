"""`ingle why|stats`: what completions did, and why there was none; how the last questions were decided."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ingle_daemon.client import call
from ingle_shell.commands.base import Command, count
from ingle_shell.commands.base import add as _add
from ingle_shell.stats import statistics
from ingle_shell.why import decisions

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare them."""
    why = _add(
        commands,
        "why",
        "the last completions and questions: where they came from, what they cost, and why",
        Command(_why, decisions),
        as_json=True,
    )
    why.add_argument("what", nargs="?", choices=("completions", "questions"), help="of these alone; both without it")
    why.add_argument("-n", dest="number", type=count, default=1, metavar="N", help="how many (1)")
    why.add_argument("--prompt", action="store_true", help="the newest one's prompt too, as the model got it")
    stats = _add(commands, "stats", "what became of completions", Command(_stats, statistics), as_json=True)
    stats.add_argument("--days", type=count, default=30, metavar="N", help="of how many days (30)")


def _why(options: argparse.Namespace) -> Any:
    told: dict[str, Any] = {"completions": []}
    if options.what != "questions":
        told = call("GET", f"/ingle/why?n={options.number}{'&prompt=1' if options.prompt else ''}")
    if options.what != "completions":
        told |= call("GET", f"/ingle/answers?n={options.number}")
    return told


def _stats(options: argparse.Namespace) -> Any:
    return call("GET", f"/ingle/stats?days={options.days}")
