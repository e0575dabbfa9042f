"""Reading a file that its user writes: the configuration, the models of their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["text_of"]

_LARGEST = 1024 * 1024


def text_of(path: Path) -> str:
    """What stands in the file. The daemon reads it while others wait: no pipe, no device, not more than anybody writes.

    Raises OSError, UnicodeDecodeError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe waits for who writes into it
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) and not os.path.samestat(status, os.stat(os.devnull)):  # noqa: PTH116
        os.close(handle)
        raise OSError("it is no regular file")
    with os.fdopen(handle, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(f"it has more than {_LARGEST >> 10} KiB")
    return data.decode("utf-8").replace("\r\n", "\n")
