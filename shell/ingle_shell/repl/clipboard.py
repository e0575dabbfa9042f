"""The clipboard, when its user asks for it and never otherwise: by the desktop's program, or by the terminal itself."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys

from ingle_daemon.errors import UsageError

__all__ = ["copy"]

_PROGRAMS = (
    ("WAYLAND_DISPLAY", ["wl-copy"]),
    ("DISPLAY", ["xclip", "-selection", "clipboard"]),
    ("DISPLAY", ["xsel", "--clipboard", "--input"]),
)
_LARGEST = 74_994
"""Bytes that terminals take in one OSC 52."""


def copy(text: str) -> str:
    """Copy `text`; how it was done. Over ssh the terminal's clipboard is meant: no program here reaches that."""
    data = text.encode("utf-8", "replace")
    if not os.environ.get("SSH_CONNECTION"):
        for variable, command in (*_PROGRAMS, ("", ["pbcopy"])):
            there = (not variable or os.environ.get(variable)) and shutil.which(command[0])
            if there and subprocess.run(command, input=data, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return f"with {command[0]}"
    if len(data) > _LARGEST:
        raise UsageError("the answer is too long for the terminal's clipboard", hint="/save FILE writes it to a file.")
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode()}\a"
    if os.environ.get("TMUX"):
        sequence = "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    sys.stdout.write(sequence)
    sys.stdout.flush()
    return "through the terminal (OSC 52), if it allows that"
