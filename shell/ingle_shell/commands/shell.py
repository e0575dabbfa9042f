"""`ingle shell`: a shell that keeps what its commands print, for `ask --last`. Asks nobody."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ingle_daemon.errors import UsageError
from ingle_daemon.paths import runtime_dir
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_ABOUT = """\
Starts your shell, or COMMAND, on a terminal of its own and keeps what commands print, so that `ask --last` and Alt-k \
know why one failed. It needs `ingle init` in the shell's start-up file: without its marks nothing is kept.

Kept are the last 256 KB, in a file that you alone may read (its name is in INGLE_LOG) and that is removed when the \
shell ends. Not kept are prompts, what is typed there, passwords, and what full-screen programs show. \
`unset INGLE_CAPTURE` keeps no more; `exit` ends it."""


def add(commands: Commands) -> None:
    """Declare it."""
    what = "start a shell that keeps the output of its commands, for `ask --last`"
    shell = _add(commands, "shell", what, Command(_shell, str))
    shell.description = _ABOUT
    shell.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND …", help="what to start; your $SHELL")


def _shell(options: argparse.Namespace) -> str:
    from ingle_shell.recorder import OutputLog, Tape, record, sweep

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("`ingle shell` needs a terminal", hint="Start it where you would start a shell.")
    argv = options.argv or [os.environ.get("SHELL") or "/bin/sh"]
    try:
        sweep(runtime_dir())
        log = OutputLog(runtime_dir())
    except OSError as error:
        sys.stderr.write(f"ingle shell: cannot keep output: {error}; this is a shell without\n")
        os.execvp(argv[0], argv)  # noqa: S606 - the terminal may have been opened for us, and would close
    tape = Tape()
    try:
        environment = {**os.environ, "INGLE_CAPTURE": "log", "INGLE_LOG": str(log.path)}
        code = record(argv, environment, lambda shown: log.add(tape.feed(shown)))
    finally:
        log.remove()
    sys.exit(code)
