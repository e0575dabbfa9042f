"""The user's shell: which one it is, what it knows by itself, and what it says of a command's syntax.

A shell is only ever started without its start-up files and without the user's environment, and told to execute nothing.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from ingle_daemon.errors import UsageError
from ingle_shell.command.lists import names
from ingle_shell.command.syntax import ShellName
from ingle_shell.render import plain

__all__ = ["Shell", "own_names", "syntax_error", "users_shell", "wraps_program"]

_PATIENCE = 5.0  # seconds for a shell to read one command
_NAMES = ("bash", "zsh", "fish", "sh")
_READ_ONLY = {
    "bash": ("--norc", "--noprofile", "-n"),
    "zsh": ("-f", "-n"),
    "fish": ("--no-config", "--no-execute"),
    "sh": ("-n",),
}
_LISTING = {
    "bash": ("--norc", "--noprofile", "-c", "compgen -b; compgen -k"),
    "zsh": ("-f", "-c", "print -rl -- ${(k)builtins} ${(k)reswords}"),
    "fish": ("--no-config", "-c", "builtin --names; functions --all --names"),
}
_POSIX = names(
    """
    . : [ alias bg break case cd command continue do done echo elif else esac eval exec exit export false fg
    fi for getopts hash if in jobs kill local printf pwd read readonly return set shift test then times trap
    true type ulimit umask unalias unset until wait while { } !
    """
)


class Shell(msgspec.Struct, frozen=True):
    name: ShellName
    path: str


def users_shell(chosen: str, environment: Mapping[str, str]) -> Shell:
    """The shell that a command is for: the chosen one, that of the integration, the parent process, $SHELL, or sh."""
    candidates = (
        [chosen] if chosen else [environment.get("INGLE_SHELL", ""), _parent(), environment.get("SHELL", ""), "sh"]
    )
    for candidate in candidates:
        name = Path(candidate).name.lstrip("-")
        path = shutil.which(name) if name in _NAMES else None
        if path:
            return Shell(cast("ShellName", name), path)
    raise UsageError(
        f"there is no shell {chosen or 'sh'} here that ask knows",
        hint=f"Install it, or choose with --shell one of: {', '.join(_NAMES)}.",
    )


def _parent() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text(encoding="utf-8").strip()
    except OSError:  # no /proc: macOS
        done = _run(["ps", "-o", "comm=", "-p", str(os.getppid())], "")
        return done.stdout.strip() if done else ""


def syntax_error(shell: Shell, command: str) -> str | None:
    """What the shell objects to; "" when nothing, None when it could not be asked. Nothing is executed."""
    done = _run([shell.path, *_READ_ONLY[shell.name]], f"{command}\n")
    if done is None:
        return None
    if done.returncode == 0 and not done.stderr:
        return ""
    first = plain(done.stderr).strip().partition("\n")[0]
    return re.sub(r"^(?:\S*(?:bash|zsh|fish|sh|dash): )?(?:line )?\d*:? ?", "", first) or "it cannot be parsed"


@functools.cache
def own_names(shell: Shell) -> frozenset[str]:
    """The builtins and keywords of a shell, and the functions that fish comes with."""
    if shell.name == "sh":
        return _POSIX
    done = _run([shell.path, *_LISTING[shell.name]], "")
    return frozenset(re.split(r"[\n,]\s*", done.stdout.strip())) if done else frozenset()


@functools.cache
def wraps_program(shell: Shell, name: str) -> bool:
    """Whether `name`, one of its own, is a function that hands its options to the program of that name: fish's ls."""
    if shell.name != "fish" or not shutil.which(name):
        return False
    done = _run([shell.path, "--no-config", "-c", "builtin --query -- $argv[1]; and echo builtin", name], "")
    return done is not None and not done.stdout


def _run(argv: list[str], text: str) -> subprocess.CompletedProcess[str] | None:
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            argv,
            input=text,
            capture_output=True,
            timeout=_PATIENCE,
            env=bare,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
