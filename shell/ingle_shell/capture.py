"""What the last failed command printed, from whoever still has it. Nothing is run again.

Only where the user asked for it, in INGLE_CAPTURE: `tmux`, `kitty` and `wezterm` have it on their screens, `log` is
what `ingle shell` keeps. Where it cannot be had there is none: the question is asked without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ingle_shell import transcript

__all__ = ["output_of"]

_LINES = 500  # of a screen's history
_LARGEST_LOG = 1024 * 1024  # bytes; `ingle shell` keeps less
_PATIENCE = 2.0  # seconds for a terminal


def output_of(command: str, environment: Mapping[str, str]) -> str:
    """The end of its output; "" where that is not known, or not to be looked up."""
    kind, back = environment.get("INGLE_CAPTURE", ""), str(-_LINES)
    if kind == "log":
        return transcript.in_log(environment.get("INGLE_LAST_MARK", ""), _log(environment.get("INGLE_LOG", "")))
    if kind == "tmux" and (pane := environment.get("TMUX_PANE")):
        return transcript.on_screen(command, _said("tmux", "capture-pane", "-p", "-J", "-S", back, "-t", pane))
    if kind == "wezterm" and (pane := environment.get("WEZTERM_PANE")):
        return transcript.on_screen(
            command, _said("wezterm", "cli", "get-text", "--pane-id", pane, "--start-line", back)
        )
    if kind == "kitty" and (window := environment.get("KITTY_WINDOW_ID")):
        remote = "kitten" if shutil.which("kitten") else "kitty"  # before 0.27 there is only the latter
        arguments = ("@", "get-text", "--ansi", "--extent=all", f"--match=id:{window}")
        return transcript.on_marked_screen(command, _said(remote, *arguments))
    return ""


def _log(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST_LOG).decode("utf-8", "replace")
    except OSError:  # its shell is gone
        return ""


def _said(program: str, *arguments: str) -> str:
    if not (path := shutil.which(program)):
        return ""
    try:
        done = subprocess.run(
            [path, *arguments],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            encoding="utf-8",
            errors="replace",
            env=os.environ,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
