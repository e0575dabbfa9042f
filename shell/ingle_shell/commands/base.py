"""What every subcommand is declared with. Knows argparse, no command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ingle_shell import help  # noqa: A004 - the name says it

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it no other way

__all__ = ["Command", "Parser", "add", "add_group", "count"]


class Command(NamedTuple):
    """What a command asks for, and how people read the answer, in parts (`Screen.tell`); an empty text is not printed.

    `exit_code` is what the answer ends the program with.
    """

    run: Callable[[argparse.Namespace], Any]
    render: Callable[[Any], str | Sequence[str]]
    exit_code: Callable[[Any], int] = lambda _: 0


class Parser(help.Parser):
    """One that says itself what it does not know, with its own usage; argparse leaves that to the outermost."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def add_group(parser: argparse.ArgumentParser) -> Commands:
    """Where the commands of a parser are added. Without one, the parser's help is what is said (`control.main`)."""
    parser.set_defaults(group=parser)
    return parser.add_subparsers(metavar="COMMAND")


def add(
    commands: Commands, name: str, what: str, command: Command, *, as_json: bool = False
) -> argparse.ArgumentParser:
    """Declare a command. `what` is its help; with `as_json` it takes `--json`."""
    parser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.set_defaults(command=command)
    if as_json:
        parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    return parser


def count(text: str) -> int:
    """An argument that is a whole number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


count.__name__ = "count (1 or more)"  # argparse calls a type by its name where it refuses a value
