"""`ingle init`: the shell integration, printed for the shell to read. Asks nobody."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import ingle_shell
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.layout import Verbatim

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
bash, zsh: eval "$(ingle init bash)"
fish: ingle init fish | source

The output of commands is not kept. INGLE_CAPTURE=tmux, kitty or wezterm lets `ask --last` and Alt-k read that of the \
last failure from the screen; `ingle shell` is a shell that keeps it in every terminal, and says for how long.

With --suggest, the line that you type and the last 30 commands are read by the model of this machine when typing \
pauses (zsh) or at the key. Lines that begin with a space, and lines with an obvious secret, are not."""


def add(commands: Commands) -> None:
    """Declare it."""
    what = "print the shell integration: keys, ??, and what `ask -s` runs in this very shell"
    init = _add(commands, "init", what, Command(_init, Verbatim))
    init.add_argument("shell", choices=_SHELLS, help="which shell is to read it")
    init.add_argument(
        "--suggest",
        action="store_true",
        help="also suggest how a line goes on: ghost text in zsh, by a key (Alt-j) in bash and fish",
    )
    init.epilog = _EPILOG


def _init(options: argparse.Namespace) -> str:
    folder = Path(ingle_shell.__file__).with_name("init")
    names = [f"{options.shell}-suggest", options.shell] if options.suggest else [options.shell]
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
