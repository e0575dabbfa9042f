"""`ingle`: look after the daemon and its models.

`main` prints what a command (`commands/`) returns, for people or as JSON. Nothing here knows how the daemon does it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ingle_daemon import __version__
from ingle_daemon.errors import IngleError, UsageError
from ingle_shell.commands import (
    bench,
    completions,
    daemon,
    doctor,
    egress,
    init,
    models,
    residence,
    service,
    setup,
    shell,
    top,
)
from ingle_shell.commands.base import Parser, add_group
from ingle_shell.help import EXIT_CODES
from ingle_shell.layout import Verbatim
from ingle_shell.screen import Screen, settle

if TYPE_CHECKING:
    from ingle_shell.commands.base import Command

__all__ = ["main"]


def main() -> int:
    """The `ingle` command."""
    options = _parser().parse_args()
    command: Command | None = options.command
    if command is None:
        options.group.print_help(sys.stderr)
        return UsageError.exit_code
    try:
        answer = command.run(options)
        told = Verbatim(json.dumps(answer, indent=2)) if options.as_json else command.render(answer)
        Screen().tell(*([told] if isinstance(told, str) else told))
    except BrokenPipeError:
        return 0
    except (IngleError, KeyboardInterrupt) as error:
        return settle("ingle", error, as_json=options.as_json)
    return command.exit_code(answer)


def _parser() -> argparse.ArgumentParser:
    description = "Look after the model that this machine keeps loaded. Questions go to `ask`."
    parser = Parser(prog="ingle", description=description, epilog=EXIT_CODES)
    parser.set_defaults(as_json=False, command=None)
    parser.add_argument("-V", "--version", action="version", version=f"ingle {__version__}")
    commands = add_group(parser)
    for subject in (daemon, top, doctor, completions, models, residence, egress, init, shell, setup, service, bench):
        subject.add(commands)
    return parser
