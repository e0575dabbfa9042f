"""Carries out what was chosen: runs the command in the user's shell, puts it on the clipboard, has it edited."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping

from ingle_daemon.errors import IngleError, reason
from ingle_shell.command.menu import Terminal
from ingle_shell.command.shells import Shell

__all__ = ["copy", "edit", "hand_over", "run"]

_OURS = ("INGLE_HANDOVER", "INGLE_ALIASES", "INGLE_FUNCTIONS", "INGLE_SHELL", "INGLE_LAST_COMMAND", "INGLE_LAST_STATUS")
_CLIPBOARDS = (("pbcopy",), ("wl-copy",), ("xclip", "-selection", "clipboard"), ("xsel", "-ib"))
_PATIENCE = 5.0


def run(shell: Shell, command: str, terminal: Terminal) -> int:
    """Run it in the user's shell, with the terminal as its input; its exit code.

    It is in the foreground with us: what the keyboard sends, both get, and the command decides about it. What is sent
    to this process alone is handed on.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        process = subprocess.Popen(
            [shell.name, "-c", command], executable=shell.path, stdin=terminal.descriptor, env=environment
        )
        for number in (signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, lambda number, _: process.send_signal(number))
        code = process.wait()
    except OSError as exc:
        raise IngleError(f"cannot run {shell.path}: {exc.strerror}", hint="Choose another shell with --shell.") from exc
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def hand_over(command: str, environment: Mapping[str, str]) -> bool:
    """Leave the command to the shell that waits for it (init/), which runs it itself; False when none does."""
    file = environment.get("INGLE_HANDOVER", "")
    if not file:
        return False
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(command)
    except OSError as exc:
        raise IngleError(f"cannot hand the command to the shell: {reason(exc)}", hint="Start a new shell.") from exc
    return True


def copy(command: str, terminal: Terminal) -> str:
    """Put the command on the clipboard; what was done, for the user."""
    remote = os.environ.get("SSH_TTY")
    for argv in () if remote else _CLIPBOARDS:
        if path := shutil.which(argv[0]):
            done = subprocess.run([path, *argv[1:]], input=command.encode(), timeout=_PATIENCE, check=False)
            if done.returncode == 0:
                return "copied"
    terminal.write(f"\x1b]52;c;{base64.b64encode(command.encode()).decode()}\x07")
    return "handed to the terminal's clipboard, if it allows that"


def edit(command: str, terminal: Terminal, *, label: str = "> ") -> str:
    """The command as the user changed it. Raises KeyboardInterrupt and EOFError."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.input import create_input
    from prompt_toolkit.output.vt100 import Vt100_Output

    with (
        os.fdopen(os.dup(terminal.descriptor), encoding="utf-8", errors="replace") as keyboard,
        os.fdopen(os.dup(terminal.descriptor), "w", encoding="utf-8", errors="replace") as screen,
    ):
        output = Vt100_Output.from_pty(screen)
        output.enable_cpr = False  # where the cursor stands does not matter, and not every terminal answers
        session: PromptSession[str] = PromptSession(input=create_input(keyboard), output=output)
        return session.prompt(label, default=command).strip()
