"""`ingle init`: the shell integration, printed for the shell to read. Asks nobody."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import ingle_shell
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
bash, zsh: eval "$(ingle init bash)"     fish: ingle init fish | source

The output of commands is not kept. INGLE_CAPTURE=tmux, kitty or wezterm lets `ask --last` and Alt-k read that of the
last failure from the screen; `ingle shell` is a shell that keeps it in every terminal, and says for how long."""


def add(commands: Commands) -> None:
    """Declare it."""
    what = "print the shell integration: keys, ??, and what `ask -s` runs in this very shell"
    init = _add(commands, "init", what, Command(_init, str))
    init.add_argument("shell", choices=_SHELLS, help="which shell is to read it")
    init.epilog = _EPILOG
    init.formatter_class = argparse.RawDescriptionHelpFormatter


def _init(options: argparse.Namespace) -> str:
    return Path(ingle_shell.__file__).with_name("init").joinpath(options.shell).read_text(encoding="utf-8")
