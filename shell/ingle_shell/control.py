"""`ingle`: look after the daemon and its models.

Each command asks the daemon and returns what it answered; `main` prints that, for people or as JSON. Nothing
here knows how the daemon does it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ingle_daemon import __version__, paths
from ingle_daemon.client import call
from ingle_daemon.errors import DaemonUnreachable, IngleError
from ingle_shell.render import daemon_status, model_list
from ingle_shell.screen import Screen, settle
from ingle_shell.stats import statistics
from ingle_shell.why import completions

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it no other way

__all__ = ["main"]

_PATIENCE = 10.0
"""Seconds that the daemon has to say how it is, or that it heard it is to end."""


class _Command(NamedTuple):
    """What a command asks for, and how people read the answer."""

    run: Callable[[argparse.Namespace], Any]
    render: Callable[[Any], str]


def main() -> int:
    """The `ingle` command."""
    options = _parser().parse_args()
    command: _Command = options.command
    try:
        answer = command.run(options)
        text = json.dumps(answer, indent=2) if options.as_json else command.render(answer)
        screen = Screen()
        screen.write(text)
        screen.end_line()
    except BrokenPipeError:
        return 0
    except (IngleError, KeyboardInterrupt) as error:
        return settle("ingle", error, as_json=options.as_json)
    return 0


# --- commands -----------------------------------------------------------------------------------------------


def _status(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/status", autostart=False, patience=_PATIENCE)


def _why(options: argparse.Namespace) -> Any:
    return call("GET", f"/ingle/why?n={options.number}{'&prompt=1' if options.prompt else ''}")


def _stats(options: argparse.Namespace) -> Any:
    return call("GET", f"/ingle/stats?days={options.days}")


def _stop(_: argparse.Namespace) -> bool:
    """Stop the daemon and wait until it is gone; False when it was not running, which is no error."""
    try:
        call("POST", "/ingle/stop", autostart=False, patience=_PATIENCE)
    except DaemonUnreachable as error:
        if isinstance(error.__cause__, TimeoutError):
            raise
        if _ended(wait=False):
            return False
        raise DaemonUnreachable("ingled is just starting or ending", hint="Try again in a moment.") from None
    _ended(wait=True)
    return True


def _ended(*, wait: bool) -> bool:
    """Whether no daemon lives: it holds its lock for as long as it does. With `wait`, only ever True."""
    try:
        with paths.daemon_lock().open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH if wait else fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _serve(options: argparse.Namespace) -> Any:
    return call("POST", "/ingle/serve", {"port": options.tcp})


def _token(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/token")


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


# --- the command line ---------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ingle",
        description="Look after the model that this machine keeps loaded. Questions go to `ask`.",
        epilog="exit codes: 0 done, 2 usage or configuration, 3 daemon unreachable, 4 no model, 130 interrupted",
    )
    parser.set_defaults(as_json=False)
    parser.add_argument("-V", "--version", action="version", version=f"ingle {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    _add(commands, "status", "what the daemon does now", _Command(_status, daemon_status), as_json=True)
    why = _add(
        commands,
        "why",
        "the last completions: where they came from, what they cost, and why there was none",
        _Command(_why, completions),
        as_json=True,
    )
    why.add_argument("-n", dest="number", type=_count, default=1, metavar="N", help="how many (1)")
    why.add_argument("--prompt", action="store_true", help="the newest one's prompt too, as the model got it")
    stats = _add(commands, "stats", "what became of completions", _Command(_stats, statistics), as_json=True)
    stats.add_argument("--days", type=_count, default=30, metavar="N", help="of how many days (30)")
    _add(commands, "stop", "end the daemon, and wait until it is gone", _Command(_stop, _said_of_stop))
    serve = _add(
        commands,
        "serve",
        "also answer programs that cannot use the socket, at 127.0.0.1 and with a token",
        _Command(_serve, lambda answer: str(answer["url"])),
    )
    serve.add_argument("--tcp", type=_port, metavar="PORT", required=True, help="the port; 0 takes a free one")
    _add(
        commands,
        "token",
        "print the token: such programs send it as `Authorization: Bearer TOKEN`",
        _Command(_token, lambda answer: str(answer["token"])),
    )
    _add_model_commands(commands.add_parser("model", help="list, fetch and choose models"))
    return parser


def _add_model_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "list", "the models on this machine", _Command(_list, model_list), as_json=True)
    pull = _add(commands, "pull", "fetch a model", _Command(_pull, lambda _: ""))
    pull.add_argument("name", metavar="NAME", nargs="?", help="without it, ingle offers one")
    use = _add(commands, "use", "answer with this model", _Command(_use, lambda answer: f"using {answer['current']}"))
    use.add_argument("name", metavar="NAME")


def _add(
    commands: _Commands, name: str, what: str, command: _Command, *, as_json: bool = False
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.set_defaults(command=command)
    if as_json:
        parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    return parser


def _said_of_stop(was_running: bool) -> str:
    return "ingled is stopped" if was_running else "ingled is not running"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "count (1 or more)"  # argparse calls a type by its name where it refuses a value


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


_port.__name__ = "port (0 to 65535)"
