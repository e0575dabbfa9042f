"""The command line of `ask`.

A line without options, which is most of them, is understood without `argparse`: its import would cost a tenth
of the time that `ask` has until its request is on the wire.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, _ArgumentGroup
    from collections.abc import Sequence

__all__ = ["Options", "parse"]

_DESCRIPTION = """\
Ask the language model of this machine. The answer goes to standard output, everything else to standard error. \
Text on standard input comes before the question."""

_EXAMPLES = """\
examples:
  ask "how do I list the ten biggest files here?"
  git diff | ask "why could this fail?"
  ask "what does @src/main.py:10-40 do?"
  ask -f docs/ "how is it configured?"
  git diff --staged | ask -t commit
  ask -x "a regex for an IPv4 address in Python" > ip.py
  ask -c "and on macOS?"
  ask -s "the ten biggest files here"
  ask --json -- "what does tar -x do?" | jq -r .answer

attachments:
-f names a file, a folder (what git ignores and secrets are left out), a quoted pattern, or a web page. In the \
question, @file, @file:10-40, @folder and @symbol do the same. Text, code, notebooks and PDFs are read.

"""


class Options:
    """What the command line says; the class attributes are the defaults.

    `system` None: the built-in one. `template` "": `-t` without a name.
    `shown` is the conversation to show: 0 the terminal's last, None is none.
    """

    words: Sequence[str] = ()
    route: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    system: str | None = None
    model: str = ""
    files: Sequence[str] = ()
    schema: str = ""
    template: str | None = None
    variables: Sequence[str] = ()
    extract: bool = False
    log: bool = True
    dry_run: bool = False
    why: bool = False
    as_json: bool = False
    suggest: bool = False
    shell: str = ""
    failure: bool = False
    ran: int | None = None
    rest: bool = False
    plain: bool = False
    last: bool = False
    conversation: int = 0
    branch: bool = False
    switch: bool = False
    title: str = ""
    listing: bool = False
    shown: int | None = None
    search: str = ""
    removed: Sequence[int] = ()

    @property
    def continues(self) -> bool:
        """The question goes on with a conversation that is there."""
        return self.last or self.branch or self.conversation > 0

    @property
    def looks_after(self) -> bool:
        """Nothing is asked: conversations are listed, shown, searched, deleted or renamed."""
        renames = bool(self.title and self.continues and not self.words)
        return bool(self.listing or self.shown is not None or self.search or self.removed or renames)


def parse(arguments: Sequence[str]) -> Options:
    """Understand the command line. Ends the process on --help, --version and mistakes, as `argparse` does."""
    options = Options()
    options.files, options.variables = [], []  # `argparse` appends to them
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before, literal = arguments[:end], arguments[end + 1 :]  # intermixed parsing loses count at a `--`
    if any(argument.startswith("-") for argument in before):
        _parser().parse_intermixed_args(before, namespace=options)
    else:
        options.words = before
    options.words = [*options.words, *literal]
    return options


def _parser() -> ArgumentParser:
    from argparse import SUPPRESS

    from ingle_daemon import __version__
    from ingle_shell.help import EXIT_CODES, Parser

    parser = Parser(prog="ask", description=_DESCRIPTION, epilog=_EXAMPLES + EXIT_CODES, argument_default=SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="QUESTION", help="the question; quote what your shell would expand")
    _add_context(parser)
    _add_model(parser)
    _add_output(parser)
    _add_conversations(parser.add_argument_group("conversations", "kept on this machine; see docs/conversations.md"))
    parser.add_argument("-V", "--version", action="version", version=f"ask {__version__}")
    return parser


def _add_context(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-f", dest="files", action="append", metavar="FILE|DIR|GLOB|URL", help="send this along; as often as needed"
    )
    parser.add_argument(
        "-t",
        dest="template",
        nargs="?",
        const="",
        metavar="TEMPLATE",
        help="ask a question that has a name; without one, list them",
    )
    parser.add_argument(
        "-v", dest="variables", action="append", metavar="NAME=VALUE", help="a variable of the template"
    )
    parser.add_argument("--system", metavar="TEXT", help="instructions in place of the built-in ones; '' gives none")


def _add_model(parser: ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--local",
        dest="route",
        action="store_const",
        const="local",
        help="answer on this machine or not at all",
    )
    where.add_argument("--api", dest="route", action="store_const", const="api", help="ask the configured API model")
    where.add_argument(
        "--think", dest="route", action="store_const", const="think", help="ask the configured reasoning model"
    )
    parser.add_argument(
        "-m",
        "--model",
        metavar="MODEL",
        type=_as_the_daemon_finds_it,
        help="ask another installed model, this once (`ingle model list`), or a GGUF file",
    )
    parser.add_argument(
        "-s",
        "--suggest",
        action="store_true",
        help="suggest one command, checked; you choose whether it is run. Without a terminal it is only printed",
    )
    parser.add_argument("--shell", metavar="NAME", help="suggest for this shell: bash, zsh, fish, sh (yours)")
    parser.add_argument(
        "--last", dest="failure", action="store_true", help="about the command that failed last (see `ingle init`)"
    )
    _add_for_shells(parser)
    parser.add_argument("--max-tokens", type=_count, metavar="N", help="the longest answer, in tokens")
    parser.add_argument(
        "--temperature",
        type=_temperature,
        metavar="T",
        help="0 always takes the likeliest word; 1 varies more",
    )


def _add_for_shells(parser: ArgumentParser) -> None:
    """What the scripts of `ingle init` say, and nobody else."""
    from argparse import SUPPRESS

    parser.add_argument("--rest", action="store_true", help=SUPPRESS)  # how the line in INGLE_LINE may go on
    parser.add_argument("--ran", type=int, metavar="N", help=SUPPRESS)  # the last command of `ask -s` ended so


def _add_output(parser: ArgumentParser) -> None:
    parser.add_argument("-x", dest="extract", action="store_true", help="print the first code block of the answer only")
    parser.add_argument("--schema", metavar="FILE", help="answer with JSON that follows this JSON schema")
    parser.add_argument(
        "--json",
        dest="as_json",
        action="store_true",
        help="one JSON object: answer, route, timings, usage; or error",
    )
    parser.add_argument("-n", "--no-log", dest="log", action="store_false", help="keep nothing of this question")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, where to and how large it is; ask nothing"
    )
    parser.add_argument("--why", action="store_true", help="tell which rule chose where it runs, and from what facts")
    parser.add_argument(
        "--plain", action="store_true", help="without a question: a dialogue that never redraws, for screen readers"
    )


def _add_conversations(group: _ArgumentGroup) -> None:
    group.add_argument("-c", "--continue", dest="last", action="store_true", help="go on with this terminal's last one")
    group.add_argument("--id", dest="conversation", type=_conversation, metavar="N", help="go on with this one")
    group.add_argument("--branch", action="store_true", help="go on in a copy of it")
    group.add_argument("--switch", action="store_true", help="even if another model answers than before")
    group.add_argument("--title", metavar="TEXT", help="its title; with -c or --id and no question, a new one")
    group.add_argument("--list", dest="listing", action="store_true", help="which there are")
    group.add_argument(
        "--show", dest="shown", type=_conversation, nargs="?", const=0, metavar="N", help="all of one, or the last"
    )
    group.add_argument("--search", metavar="WORDS", help="where all these words were said")
    group.add_argument(
        "--rm", dest="removed", type=_conversation, nargs="+", metavar="N", help="delete these, without a trace"
    )


def _as_the_daemon_finds_it(text: str) -> str:
    """A file's whole path, for the daemon works in another folder; a name as it is."""
    import os.path

    return os.path.abspath(text) if text.lower().endswith(".gguf") and os.path.isfile(text) else text  # noqa: PTH100, PTH113 - pathlib takes a while to import


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _conversation(text: str) -> int:
    return _count(text)


def _temperature(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 2:
        raise ValueError
    return number


# argparse calls a type by its name where it refuses a value
_count.__name__ = "number of tokens (1 or more)"
_conversation.__name__ = "number of a conversation"
_temperature.__name__ = "temperature (0 to 2)"
