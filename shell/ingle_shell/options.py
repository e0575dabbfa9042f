"""The command line of `ask`.

A line without options, which is most of them, is understood without `argparse`: its import would cost a tenth
of the time that `ask` has until its request is on the wire.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

__all__ = ["Options", "parse"]

_DESCRIPTION = """\
Ask the language model of this machine. The answer goes to standard output, everything else to standard error.
Text on standard input comes before the question."""

_EXAMPLES = """\
examples:
  ask "how do I list the ten biggest files here?"
  git diff | ask "why could this fail?"
  ask --json -- "what does tar -x do?" | jq -r .answer

exit codes:
  0 done   2 usage or configuration   3 daemon unreachable   4 no model   5 does not fit and may not leave
  6 API failed   7 budget spent   8 refused by privacy rule   130 interrupted"""


class Options:
    """What the command line says; the class attributes are the defaults. `system` None: the built-in one."""

    words: Sequence[str] = ()
    route: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    system: str | None = None
    as_json: bool = False


def parse(arguments: Sequence[str]) -> Options:
    """Understand the command line. Ends the process on --help, --version and mistakes, as `argparse` does."""
    options = Options()
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before, literal = arguments[:end], arguments[end + 1 :]  # intermixed parsing loses count at a `--`
    if any(argument.startswith("-") for argument in before):
        _parser().parse_intermixed_args(before, namespace=options)
    else:
        options.words = before
    options.words = [*options.words, *literal]
    return options


def _parser() -> ArgumentParser:
    import argparse

    from ingle_daemon import __version__

    parser = argparse.ArgumentParser(
        prog="ask",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("words", nargs="*", metavar="QUESTION", help="the question; quote what your shell would expand")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--local",
        dest="route",
        action="store_const",
        const="local",
        help="answer on this machine or not at all",
    )
    where.add_argument("--api", dest="route", action="store_const", const="api", help="ask the configured API model")
    parser.add_argument("--max-tokens", type=_count, metavar="N", help="the longest answer, in tokens")
    parser.add_argument(
        "--temperature",
        type=_temperature,
        metavar="T",
        help="0 always takes the likeliest word; 1 varies more",
    )
    parser.add_argument("--system", metavar="TEXT", help="instructions in place of the built-in ones; '' gives none")
    parser.add_argument(
        "--json",
        dest="as_json",
        action="store_true",
        help="one JSON object: answer, route, timings, usage; or error",
    )
    parser.add_argument("-V", "--version", action="version", version=f"ask {__version__}")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _temperature(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 2:
        raise ValueError
    return number


# argparse calls a type by its name where it refuses a value
_count.__name__ = "number of tokens (1 or more)"
_temperature.__name__ = "temperature (0 to 2)"
