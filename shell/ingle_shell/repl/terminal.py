"""The terminal around a dialogue: it is left as it was found, however the dialogue ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

__all__ = ["prefers_vi", "private_file", "restored_terminal"]

_LEFT_AS_FOUND = "\x1b[?2004l\x1b[?25h\x1b[0m"
"""No bracketed paste, a cursor, no colour."""


@contextlib.contextmanager
def restored_terminal() -> Iterator[None]:
    """Whatever happens within it, a defect and SIGTERM included. (Nothing can be done about kill -9: `reset` helps.)"""
    before = termios.tcgetattr(sys.stdin)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, termios.error):  # the terminal itself may be gone
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            if os.environ.get("TERM", "dumb") != "dumb":
                os.write(sys.stdout.fileno(), _LEFT_AS_FOUND.encode())


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def private_file(path: Path) -> Path:
    """The file, made for its user alone where it is not there."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    return path


def prefers_vi() -> bool:
    """Whether readline's configuration, which other programs follow, asks for vi's keys."""
    path = Path(os.environ.get("INPUTRC") or Path.home() / ".inputrc")
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split() == ["set", "editing-mode", "vi"] for line in lines)
