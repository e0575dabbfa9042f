"""The model store: a folder for each installed model, and which of them is the current one.

    ROOT/NAME/FILE.gguf     unless the file lies elsewhere: another program's, or the user's own
    ROOT/NAME/model.json    what it is
    ROOT/current            the name of the current model
    ROOT/.staging-…         what is being made or removed, locked by whoever does it

A model's folder appears and disappears as a whole, by a rename. A killed process leaves at most a staging folder that
nobody locks; the next one to stage removes it. A file that lies elsewhere is never written to, moved or removed. This
module knows neither where a model comes from nor what is in a GGUF; downloads that wait to be gone on with are in
`partial.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from ingle_daemon.errors import NoModel
from ingle_daemon.models import catalog
from ingle_daemon.models.nearest import what_there_is
from ingle_daemon.models.seal import UNKNOWN, Seal, seal
from ingle_daemon.paths import private_dir

__all__ = ["NAME", "Broken", "Installed", "Store", "lock", "sync", "write"]

NAME = r"[a-z0-9][A-Za-z0-9._:-]*"
"""What a model may be called: the name of its folder, too."""

_RECORD = "model.json"
_CURRENT = "current"
_LOCK = ".lock"
_STAGING = ".staging-"


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`model.json`. `place` is the path of a file that lies elsewhere."""

    name: Annotated[str, msgspec.Meta(pattern=f"^{NAME}$")]
    file: str
    sha256: str
    size_bytes: int
    source: str
    mtime_ns: int = UNKNOWN
    place: str = ""

    def path(self, folder: Path) -> Path:
        return Path(self.place) if self.place else folder / Path(self.file).name


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the store. `source` says where it came from, for people to read."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    source: str
    mtime_ns: int = UNKNOWN
    elsewhere: bool = False
    """The file is not the store's own."""

    @property
    def seal(self) -> Seal | None:
        """What its file must be when it is loaded; None where it was never verified."""
        if not self.sha256:
            return None
        return Seal(size_bytes=self.size_bytes, mtime_ns=self.mtime_ns, sha256=self.sha256)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose record is there and whose file is not, or not as recorded."""

    name: str
    path: Path
    reason: str


class Store:
    """The models under `root`. Nothing is made there before the first model is staged.

    Reading never fails: what is not whole is not installed. What writes raises OSError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def installed(self) -> list[Installed]:
        """Every model that is whole, by name."""
        return [model for model in self._read_all() if isinstance(model, Installed)]

    def broken(self) -> list[Broken]:
        """Every model that was installed and is whole no more, by name."""
        return [model for model in self._read_all() if isinstance(model, Broken)]

    def get(self, name: str) -> Installed | None:
        return next((model for model in self.installed() if model.name == name), None)

    def find(self, name: str, *, fetchable: bool = True) -> Installed:
        """The model of that name. Raises NoModel that says why it is not there, and where it is, if `fetchable`."""
        if model := self.get(name):
            return model
        if broken := next((model for model in self.broken() if model.name == name), None):
            raise NoModel(
                f"the model {name!r} cannot be used: {broken.path} {broken.reason}",
                hint=f"`ingle model rm {name}` forgets it; then fetch it again.",
                wanted=name,
                path=str(broken.path),
            )
        names = [model.name for model in self.installed()]
        hint = what_there_is(name, names, catalog.known().names if fetchable else ())
        raise NoModel(f"the model {name!r} is not installed", hint=hint, wanted=name)

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
        model = self.find(name)
        try:
            with self._locked():
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
            folder, held = self._stage()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # what cannot be removed now is swept later
            os.close(held)

    def adopt(self, name: str, staged: Path, *, file: str, sha256: str, source: str) -> Installed:
        """Move a complete, verified file into its place, to be called `file`. The first model becomes the current."""
        staged.chmod(0o600)
        sync(staged)
        return self._install(name, seal(staged, sha256), source, file=Path(file).name, moved=staged)

    def refer(self, name: str, path: Path, sealed: Seal, *, source: str) -> Installed:
        """Install a complete, verified file that stays where it is."""
        return self._install(name, sealed, source, file=path.name, place=str(path))

    def reseal(self, name: str, *, intact: bool) -> None:
        """Note how a model's file was found: as recorded, or not, so that it is looked at whenever it is loaded."""
        with self._locked():
            path = self.root / name / _RECORD
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
            mtime_ns = record.path(path.parent).stat().st_mtime_ns if intact else UNKNOWN
            write(path, msgspec.json.encode(msgspec.structs.replace(record, mtime_ns=mtime_ns)))

    def remove(self, name: str) -> None:
        """Forget a model, whole or not, and remove its file if it is the store's own."""
        with self.staging() as staging:
            (self.root / name).rename(staging / name)

    def _install(
        self, name: str, sealed: Seal, source: str, *, file: str, place: str = "", moved: Path | None = None
    ) -> Installed:
        """Make the model's folder, with the file that is `moved` into it, and put it into its place."""
        record = _Record(
            name=name,
            file=file,
            sha256=sealed.sha256,
            size_bytes=sealed.size_bytes,
            source=source,
            mtime_ns=sealed.mtime_ns,
            place=place,
        )
        with self.staging() as staging:
            fresh = private_dir(staging / name)
            write(fresh / _RECORD, msgspec.json.encode(record))
            if moved:
                moved.replace(fresh / file)
            with self._locked():
                if (self.root / name).exists():
                    (self.root / name).rename(staging / "older")  # which was no longer whole
                fresh.rename(self.root / name)
                sync(self.root)
                if len(self.installed()) == 1:
                    self._choose(name)
        return self.find(name)

    def _choose(self, name: str) -> None:
        write(self.root / _CURRENT, name.encode() + b"\n")

    def _read_all(self) -> Iterator[Installed | Broken]:
        found = (_read(record) for record in sorted(self.root.glob(f"[!.]*/{_RECORD}")))
        return (model for model in found if model)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        held = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
        finally:
            os.close(held)

    def _stage(self) -> tuple[Path, int]:
        folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
        return folder, lock(folder, fcntl.LOCK_EX)

    def _sweep(self) -> None:
        """Remove what those left who are gone."""
        _fresh(self.root / _CURRENT).unlink(missing_ok=True)
        for folder in self.root.glob(f"{_STAGING}*"):
            try:
                held = lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its maker is alive, or has just removed it
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


def _read(record: Path) -> Installed | Broken | None:
    """The model that a record describes; None where it describes none."""
    try:
        model = msgspec.json.decode(record.read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return None
    if model.name != record.parent.name:
        return None
    path = model.path(record.parent)
    if reason := _fault(path, model.size_bytes):
        return Broken(name=model.name, path=path, reason=reason)
    return Installed(
        name=model.name,
        path=path,
        size_bytes=model.size_bytes,
        sha256=model.sha256,
        source=model.source,
        mtime_ns=model.mtime_ns,
        elsewhere=bool(model.place),
    )


def _fault(path: Path, size_bytes: int) -> str:
    """What is wrong with a model's file, as far as a look at it tells; "" where nothing is."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return "is gone: moved or removed since it was installed"
    except OSError as exc:
        return f"cannot be looked at: {exc.strerror}"
    return "" if found == size_bytes else f"has {found:,} bytes instead of {size_bytes:,}"


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step, and make it last."""
    fresh = _fresh(path)
    try:
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        sync(fresh)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _fresh(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.new")


def sync(path: Path) -> None:
    """Wait until the disk has what was written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(folder: Path, operation: int) -> int:
    """Lock a folder for as long as the returned descriptor is open."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, operation)
    except BaseException:
        os.close(handle)
        raise
    return handle
