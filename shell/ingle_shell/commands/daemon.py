"""`ingle status|stop|serve|token`: the daemon itself."""

from __future__ import annotations

import argparse
import fcntl
from typing import TYPE_CHECKING, Any

from ingle_daemon import paths
from ingle_daemon.client import call
from ingle_daemon.errors import DaemonUnreachable
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.render import daemon_status

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add", "stop"]

_PATIENCE = 10.0
"""Seconds that the daemon has to say how it is, or that it heard it is to end."""


def add(commands: Commands) -> None:
    """Declare them."""
    _add(commands, "status", "what the daemon does now", Command(_status, daemon_status), as_json=True)
    _add(commands, "stop", "end the daemon, and wait until it is gone", Command(stop, _said_of_stop))
    serve = _add(
        commands,
        "serve",
        "also answer programs that cannot use the socket, at 127.0.0.1 and with a token",
        Command(_serve, lambda answer: str(answer["url"])),
    )
    serve.add_argument("--tcp", type=_port, metavar="PORT", required=True, help="the port; 0 takes a free one")
    _add(
        commands,
        "token",
        "print the token: such programs send it as `Authorization: Bearer TOKEN`",
        Command(_token, lambda answer: str(answer["token"])),
    )


def _status(_: argparse.Namespace) -> Any:
    return call("GET", "/ingle/status", autostart=False, patience=_PATIENCE)


def stop(_: argparse.Namespace | None) -> bool:
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


def _said_of_stop(was_running: bool) -> str:
    return "ingled is stopped" if was_running else "ingled is not running"


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


_port.__name__ = "port (0 to 65535)"
