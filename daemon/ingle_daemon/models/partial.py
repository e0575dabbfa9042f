"""Downloads that were interrupted, kept so that the next pull of the same file goes on where they ended.

    STORE/.partial/KEY/part        the bytes that came so far
    STORE/.partial/KEY/about.json  of which model and file they are

KEY says what file it is: its digest where one is known, else its address and the server's name for its version. A
folder is locked while somebody fetches into it. What nobody touched for a week goes, and so does all but the latest
few; this module knows files and locks, not where the bytes come from.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ingle_daemon.errors import NoModel
from ingle_daemon.models.store import lock, write
from ingle_daemon.paths import private_dir

__all__ = ["MOST", "WEEK_S", "Partial", "Partials"]

WEEK_S = 7 * 24 * 3600
MOST = 4
"""Interrupted downloads that are kept, so that they can never fill a disk by themselves."""

_PART = "part"
_ABOUT = "about.json"


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """`about.json`."""

    model: str
    size_bytes: int


class Partial(msgspec.Struct, frozen=True, kw_only=True):
    """An interrupted download of a model."""

    model: str
    folder: Path
    done_bytes: int
    size_bytes: int


class Partials:
    """The interrupted downloads below a store. Nothing is made there before the first download."""

    def __init__(self, store: Path, clock: Callable[[], float] = time.time) -> None:
        self._root = store / ".partial"
        self._clock = clock

    def all(self) -> list[Partial]:
        """Every interrupted download, the latest first."""
        folders = [folder for folder in self._root.glob("*") if (folder / _ABOUT).is_file()]
        return [partial for folder in sorted(folders, key=_age, reverse=True) if (partial := _read(folder))]

    def drop(self, model: str) -> int:
        """Remove what was fetched of a model, unless it is being fetched now. Returns the bytes that are free again."""
        mine = [partial for partial in self.all() if partial.model == model]
        return sum(partial.done_bytes for partial in mine if _remove(partial.folder))

    @contextlib.contextmanager
    def open(self, key: str, model: str, size_bytes: int) -> Iterator[Path]:
        """The file to fetch into, with what came of it before; it stays after the block unless somebody moves it.

        Raises NoModel when somebody else fetches the same file.
        """
        folder = private_dir(private_dir(self._root) / hashlib.sha256(key.encode()).hexdigest()[:32])
        with _alone(folder, model):
            self._sweep(but=folder)
            _describe(folder / _ABOUT, msgspec.json.encode(_About(model=model, size_bytes=size_bytes)))
            part = folder / _PART
            part.touch(mode=0o600)
            try:
                yield part
            finally:
                if not part.exists() or not part.stat().st_size:
                    shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self, but: Path) -> None:
        """Remove what is old, and all but the latest."""
        kept = 1
        others = [folder for folder in self._root.glob("*") if folder != but]
        for folder in sorted(others, key=_age, reverse=True):
            kept += 1
            if kept > MOST or self._clock() - _age(folder) > WEEK_S:
                _remove(folder)


@contextlib.contextmanager
def _alone(folder: Path, model: str) -> Iterator[None]:
    try:
        held = lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise NoModel(
            f"{model} is being fetched already, by another ingled",
            hint="Wait for it, or stop the other one.",
        ) from exc
    try:
        yield
    finally:
        os.close(held)


def _describe(path: Path, about: bytes) -> None:
    """Write it, unless it says so already: a full disk shall be told by what is missing for the model."""
    if not path.exists() or path.read_bytes() != about:
        write(path, about)


def _read(folder: Path) -> Partial | None:
    """None where its maker has just removed it, or it is damaged: then it is swept in time."""
    try:
        about = msgspec.json.decode((folder / _ABOUT).read_bytes(), type=_About)
        done = (folder / _PART).stat().st_size
    except (OSError, msgspec.DecodeError):
        return None
    return Partial(model=about.model, folder=folder, done_bytes=done, size_bytes=about.size_bytes)


def _age(folder: Path) -> float:
    """When it was last written to."""
    for path in (folder / _PART, folder):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _remove(folder: Path) -> bool:
    """Remove it, unless somebody fetches into it."""
    try:
        held = lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    os.close(held)
    return True
