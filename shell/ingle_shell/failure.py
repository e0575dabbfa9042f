"""The last command that failed, as the shell integration remembers it. Nothing is run again.

The command and its exit code come from the shell's hook. Its output is looked up only where the user asked for that
with INGLE_CAPTURE=tmux: tmux still has it on its screen. Secrets are taken out of both, wherever the question goes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from ingle_daemon.errors import UsageError
from ingle_shell.render import plain
from ingle_shell.secrets import without_secrets

__all__ = ["last_failure", "output_of"]

_LINES = 500  # of the screen's history
_LONGEST = 4000  # characters of output: its end is what tells
_PATIENCE = 2.0  # seconds for tmux


def last_failure(environment: Mapping[str, str]) -> str:
    """What is known of it, as text for a model. Raises UsageError where nothing is."""
    command, status = environment.get("INGLE_LAST_COMMAND", ""), environment.get("INGLE_LAST_STATUS", "")
    if not environment.get("INGLE_SHELL"):
        raise UsageError(
            "the shell does not say which command failed",
            hint='Put this in its start-up file: eval "$(ingle init bash)", or zsh, or: ingle init fish | source',
        )
    if not command:
        raise UsageError("no command has failed in this shell yet", hint="Ask again when one has.")
    text = f"This {environment['INGLE_SHELL']} command failed with exit code {status}:\n\n{command}"
    if output := _captured(command, environment):
        text += f"\n\nThe end of what it printed:\n\n{output}"
    return without_secrets(text)


def output_of(command: str, screen: str) -> str:
    """The output of `command` on a screen whose last line is the prompt: what follows its last appearance."""
    lines = plain(screen).rstrip().splitlines()[:-1]
    first = command.strip().partition("\n")[0]
    begin = next((index for index in range(len(lines) - 1, -1, -1) if lines[index].rstrip().endswith(first)), None)
    return "" if begin is None else "\n".join(lines[begin + 1 :]).strip()[-_LONGEST:]


def _captured(command: str, environment: Mapping[str, str]) -> str:
    pane, tmux = environment.get("TMUX_PANE"), shutil.which("tmux")
    if environment.get("INGLE_CAPTURE") != "tmux" or not pane or not tmux:
        return ""
    argv = [tmux, "capture-pane", "-p", "-J", "-S", str(-_LINES), "-t", pane]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            encoding="utf-8",
            errors="replace",
            env=os.environ,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return output_of(command, done.stdout) if done.returncode == 0 else ""
