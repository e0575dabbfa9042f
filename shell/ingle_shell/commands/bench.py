"""`ingle bench`: installed models beside each other, on this machine."""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING, Any

import msgspec

from ingle_shell.commands.base import Command, count
from ingle_shell.commands.base import add as _add
from ingle_shell.screen import Screen

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_ANSWER_TOKENS = 64


def add(commands: Commands) -> None:
    """Declare it."""
    what = "compare installed models on this machine: load, first token, tokens a second, memory, answers"
    bench = _add(commands, "bench", what, Command(_bench, _told), as_json=True)
    bench.add_argument("models", metavar="MODEL", nargs="*", help="without one, all that are installed")
    bench.add_argument("--tokens", type=count, default=512, metavar="N", help="length of the prompt (512)")
    bench.add_argument("--repeat", type=count, default=3, metavar="N", help="how often each is measured (3)")
    bench.add_argument("--force", action="store_true", help="also while somebody is being answered")
    bench.epilog = "Your own model is loaded again afterwards."


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    from ingle_shell.bench.measure import Plan, measure
    from ingle_shell.bench.results import figures

    screen = Screen()
    plan = Plan(tuple(options.models), options.tokens, _ANSWER_TOKENS, options.repeat)
    found = [*measure(plan, lambda text: screen.note(text, dim=True), force=options.force)]
    return {
        "repeat": plan.repeat,
        "results": [{**msgspec.to_builtins(result), "figures": figures(result)} for result in found],
    }


def _told(answer: dict[str, Any]) -> str:
    from ingle_shell.bench.results import Result, table

    results = [msgspec.convert(result, Result) for result in answer["results"]]
    told = table(results, shutil.get_terminal_size().columns)
    return f"{told}\nmedian of {answer['repeat']} (smallest to largest); the small sets tell large differences only"
