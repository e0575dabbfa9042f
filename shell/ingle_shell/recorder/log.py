"""The file that a recorded shell's output is kept in: private, bounded, gone with its shell.

Its lock says that its shell lives: what nobody holds is left over from one that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ingle_daemon.paths import private_dir

__all__ = ["LIMIT", "OutputLog", "sweep"]

LIMIT = 256 * 1024  # bytes
_NAMES = "output-*.log"


class OutputLog:
    """A new log in `folder`, which becomes private. Raises OSError when it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.path = private_dir(folder) / f"output-{os.getpid()}.log"
        self._fd = _create(self.path)
        self._size = 0

    def add(self, data: bytes) -> None:
        """Keep `data`; of what is too much, the older half goes. A full disk ends the log, not the shell."""
        if not data or self._fd < 0:
            return
        try:
            if self._size + len(data) > LIMIT:
                data = (os.pread(self._fd, self._size, 0) + data)[-LIMIT // 2 :]
                self._size = 0
            os.pwrite(self._fd, data, self._size)
            self._size += len(data)
            os.ftruncate(self._fd, self._size)
        except OSError:
            self.remove()

    def remove(self) -> None:
        """Nothing is left of it."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # somebody may have removed it
                self.path.unlink()
            os.close(self._fd)
            self._fd = -1


def sweep(folder: Path) -> None:
    """Remove the logs in `folder` whose shells are gone."""
    for path in folder.glob(_NAMES):
        with contextlib.suppress(OSError), path.open("rb") as file:  # a lock that is held is one
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _create(path: Path) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of a process that had our number once
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if path.exists():  # nobody swept it before it was locked
            return fd
        os.close(fd)
