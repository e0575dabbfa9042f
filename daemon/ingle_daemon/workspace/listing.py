"""Which files of a folder may be read, for somebody who wants to send all of it: `ignore.py` decides, this lists."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ingle_daemon.errors import RefusedByPrivacy, UsageError
from ingle_daemon.workspace.ignore import Ignore, is_secret

__all__ = ["below"]

_MOST_FILES = 20_000


def below(folder: str) -> list[tuple[str, int]]:
    """The path below `folder` and the size of each file that may be read, by path.

    Raises UsageError when it is no folder or has more files than anybody can send, RefusedByPrivacy when its owner
    keeps it private or it is a place of secrets.
    """
    if not os.path.isabs(folder) or not os.path.isdir(folder):  # noqa: PTH112, PTH117 - it may hold a NUL
        raise UsageError(f"{folder} is not a folder", hint="Give the absolute path of one.")
    root = Path(folder).resolve()
    ignore = Ignore(root)
    if ignore.private or is_secret(root / "any"):
        raise RefusedByPrivacy(f"{root} is private", hint="Name its files one by one to send them all the same.")
    files = ((path, status.st_size) for _, listed in ignore.walk() for path, status in listed)
    found = list(itertools.islice(files, _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise UsageError(f"{root} has more than {_MOST_FILES:,} files", hint="Name a folder inside it, or a pattern.")
    return sorted(found)
