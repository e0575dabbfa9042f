"""The model store: a folder for each installed model, and which of them is the current one.

    ROOT/NAME/FILE.gguf
    ROOT/NAME/model.json    written last, by rename: a model is there when this file is
    ROOT/current            the name of the current model
    ROOT/.staging-…         a download that is being made, locked by its maker

A killed process leaves at most a staging folder that nobody locks; the next one to stage removes it. This
module knows neither where a model comes from nor what is in a GGUF.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ingle_daemon.errors import NoModel
from ingle_daemon.models.catalog import Entry, ModelName
from ingle_daemon.paths import private_dir

__all__ = ["Installed", "Store"]

_RECORD = "model.json"
_CURRENT = "current"
_LOCK = ".lock"
_STAGING = ".staging-"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """`model.json`."""

    name: ModelName
    file: str
    sha256: str
    size_bytes: int
    source: str


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the store. `source` says where it came from, for people to read."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    source: str


class Store:
    """The models under `root`. Nothing is made there before the first model is staged.

    Reading never fails: what is not whole is not installed. Staging and adopting raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def installed(self) -> list[Installed]:
        """Every model that is whole, by name."""
        found = (_read(record) for record in sorted(self.root.glob(f"[!.]*/{_RECORD}")))
        return [model for model in found if model]

    def get(self, name: str) -> Installed | None:
        return next((model for model in self.installed() if model.name == name), None)

    def current(self) -> Installed | None:
        """The model to load: the one chosen last, or the first one where the choice is gone."""
        try:
            chosen = (self.root / _CURRENT).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            chosen = ""
        models = self.installed()
        return next((model for model in models if model.name == chosen), models[0] if models else None)

    def use(self, name: str) -> Installed:
        """Make an installed model the current one. Raises NoModel when it is not there."""
        model = self.get(name)
        if model is None:
            names = ", ".join(model.name for model in self.installed()) or "none"
            raise NoModel(
                f"the model {name!r} is not installed",
                hint=f"Installed: {names}. `ingle model pull {name}` installs it if the catalog has it.",
                model=name,
            )
        try:
            self._choose(name)
        except OSError as exc:
            raise NoModel(
                f"cannot choose {name} in {self.root}: {exc.strerror}",
                hint="Check the disk and the permissions of that folder.",
                path=str(self.root),
            ) from exc
        return model

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder of one's own, on the file system of the store, removed at the end whatever happens."""
        private_dir(self.root)
        with self._locked():
            self._sweep()
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
            lock = _lock(folder, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what cannot be removed now is swept later
            os.close(lock)

    def adopt(self, entry: Entry, staged: Path, *, sha256: str, source: str) -> Installed:
        """Move a complete, verified file into its place. The first model becomes the current one."""
        size = staged.stat().st_size
        staged.chmod(0o600)
        _sync(staged)
        folder = private_dir(self.root / entry.name)
        with self._locked():
            (folder / _RECORD).unlink(missing_ok=True)  # an older file under this name is no longer whole
            path = staged.replace(folder / entry.filename)
            record = _Record(name=entry.name, file=path.name, sha256=sha256, size_bytes=size, source=source)
            _write(folder / _RECORD, msgspec.json.encode(record))
            if len(self.installed()) == 1:
                self._choose(entry.name)
        return Installed(name=entry.name, path=path, size_bytes=size, sha256=sha256, source=source)

    def _choose(self, name: str) -> None:
        _write(self.root / _CURRENT, name.encode() + b"\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Remove staging folders whose maker is gone."""
        for folder in self.root.glob(f"{_STAGING}*"):
            try:
                lock = _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its maker is alive, or has just removed it
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _read(record: Path) -> Installed | None:
    """The model that a record describes, if it is there as described."""
    try:
        model = msgspec.json.decode(record.read_bytes(), type=_Record)
        path = record.parent / Path(model.file).name
        whole = path.stat().st_size == model.size_bytes and model.name == record.parent.name
    except (OSError, msgspec.DecodeError):
        return None
    if not whole:
        return None
    return Installed(
        name=model.name,
        path=path,
        size_bytes=model.size_bytes,
        sha256=model.sha256,
        source=model.source,
    )


def _write(path: Path, content: bytes) -> None:
    """Replace a file in one step, and make it last."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    _sync(fresh)
    fresh.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lock(folder: Path, operation: int) -> int:
    """Lock a folder for as long as the returned descriptor is open."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, operation)
    except BaseException:
        os.close(handle)
        raise
    return handle
