"""Reading a file that may be anything: never a device, a pipe, or what a symbolic link leads to, never more than asked.

It knows no rule about names. `looks_written` tells from the bytes whether a person wrote them.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["MAX_BYTES", "Found", "looks_written", "read_below", "read_regular"]

MAX_BYTES = 1024 * 1024
"""Larger files are data, or generated."""

_SHORT, _MEAN_LINE, _LONGEST_LINE = 4_096, 200, 5_000
_PRIVATE_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Found:
    """A file's bytes, None when they are too many, and which version of it they are."""

    data: bytes | None
    mtime_ns: int
    size: int


def read_below(root: int, path: str, limit: int = MAX_BYTES) -> Found | None:
    """The regular file at `path` below the open folder `root`; None where there is none.

    Every folder on the way is opened from the one before, so that no symbolic link, however late it was laid, leads
    out of the root.
    """
    *folders, name = PurePosixPath(path).parts
    current = os.dup(root)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = inner
        return read_regular(current, name, limit)
    except OSError:
        return None
    finally:
        os.close(current)


def read_regular(folder: int, name: str, limit: int = MAX_BYTES) -> Found | None:
    """The regular file `name` in the open folder; None where there is none."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):  # of a folder, not even a file object can be made
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        try:
            data = file.read(limit + 1) if status.st_size <= limit else None
        except OSError:
            return None
    return Found(data if data is None or len(data) <= limit else None, status.st_mtime_ns, status.st_size)


def looks_written(data: bytes) -> bool:
    """Text with lines of a length that people write, and no private key in it."""
    if b"\0" in data or _PRIVATE_KEY in data:
        return False
    lines = data.split(b"\n")
    return len(data) <= max(_SHORT, _MEAN_LINE * len(lines)) and max(map(len, lines)) <= _LONGEST_LINE
