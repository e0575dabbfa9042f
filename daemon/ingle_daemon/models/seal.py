"""What a model's file was when it was verified, and whether it still is that file.

Size and time of change tell at once; where the time differs, the digest decides. This module knows files, no store.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ingle_daemon.errors import NoModel

__all__ = ["UNKNOWN", "Seal", "check", "digest", "seal"]

UNKNOWN = -1
_CHUNK = 1 << 20


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """`mtime_ns` is UNKNOWN where only the digest counts."""

    size_bytes: int
    mtime_ns: int
    sha256: str


def seal(path: Path, sha256: str) -> Seal:
    """The seal of a file that was verified just now."""
    status = path.stat()
    return Seal(size_bytes=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256)


def digest(path: Path, progress: Callable[[int], None] = lambda _: None, stop: threading.Event | None = None) -> str:
    """The SHA-256 of a file, of a part of it only when `stop` is set meanwhile. `progress` hears of the bytes read."""
    found, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while not (stop and stop.is_set()) and (chunk := file.read(_CHUNK)):
            found.update(chunk)
            progress(done := done + len(chunk))
    return found.hexdigest()


def check(path: Path, expected: Seal, model: str) -> None:
    """Raises NoModel when the file is not the one that was sealed; reads all of it only when its time has changed."""
    try:
        status = path.stat()
        same = (status.st_size, status.st_mtime_ns) == (expected.size_bytes, expected.mtime_ns)
        if same or (status.st_size == expected.size_bytes and digest(path) == expected.sha256):
            return
    except OSError as exc:
        raise NoModel(
            f"cannot read {path}, the file of {model}: {exc.strerror}",
            hint="Check the permissions of the file, or fetch the model again.",
            path=str(path),
        ) from exc
    raise NoModel(
        f"{path}, the file of {model}, is not the one that was installed: it has been changed since",
        hint=f"`ingle model rm {model}` and fetch it again; `ingle model verify` looks at all of them.",
        path=str(path),
        changed=model,
    )
