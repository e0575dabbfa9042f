"""Models that other programs keep on this machine: where they are, so that they need not be fetched again.

    ollama      MODELS/manifests/HOST/OWNER/NAME/TAG, JSON that names blobs; MODELS/blobs/sha256-DIGEST
    lmstudio    MODELS/PUBLISHER/REPOSITORY/FILE.gguf
    hub         CACHE/models--OWNER--REPO/snapshots/COMMIT/FILE.gguf, a link to a blob
    llama.cpp   CACHE/OWNER_REPO_FILE.gguf, and since 2026 the hub's layout as well

What stands in those folders is not to be trusted: a manifest names a blob by its digest or not at all, and a link may
not lead out of its cache. Nothing is written there, and a folder that cannot be read is told. This module does not know
the store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ingle_daemon.errors import NoModel, UsageError, reason
from ingle_daemon.models import spec
from ingle_daemon.models.spec import Request

__all__ = ["Found", "Place", "choose", "find", "places"]

Program = Literal["ollama", "lmstudio", "hub", "llama.cpp"]

_MODEL_LAYER = "application/vnd.ollama.image.model"
_OLLAMA_OWN = "registry.ollama.ai/library/"
_LARGEST_MANIFEST = 1 << 20
_MOST_FILES = 10_000
_BLOB = re.compile(r"[0-9a-f]{64}")
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix)", re.IGNORECASE)


class Place(msgspec.Struct, frozen=True):
    """A folder where a program may keep models."""

    program: Program
    folder: Path


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model of another program, or a reason why there may be more than can be seen."""

    program: Program
    name: str
    path: str
    size_bytes: int = 0
    sha256: str = ""
    """What its bytes are by the program's word."""
    problem: str = ""
    """Why it cannot be used."""

    def request(self) -> Request:
        """It, to be installed where it is."""
        name = spec.name_for(self.name.removesuffix(":latest").rpartition("/")[2])
        return spec.of_file(Path(self.path), name=name, origin=f"{self.program}: {self.name}", sha256=self.sha256)


def places(environment: Mapping[str, str] = os.environ) -> list[Place]:
    """Where programs keep their models, by their own variables or else where they do by themselves."""
    home = Path(environment.get("HOME", "") or "/")
    cache = Path(environment.get("XDG_CACHE_HOME", "") or home / ".cache")
    hub_home = Path(environment.get("HF_HOME", "") or cache / "huggingface")
    llama = home / "Library/Caches/llama.cpp" if sys.platform == "darwin" else cache / "llama.cpp"
    chosen = environment.get("OLLAMA_MODELS", "")
    ollama = [Path(chosen)] if chosen else [home / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]
    return [
        *(Place("ollama", folder) for folder in ollama),
        *(Place("lmstudio", folder) for folder in _lmstudio_folders(home)),
        Place("hub", Path(environment.get("HF_HUB_CACHE", "") or hub_home / "hub")),
        Place("llama.cpp", Path(environment.get("LLAMA_CACHE", "") or llama)),
    ]


def find(where: Sequence[Place]) -> list[Found]:
    """Every model in those folders, by program and name."""
    found = [model for place in where for model in _look(place)]
    return sorted(found, key=lambda model: (model.program, model.name))


def choose(found: Sequence[Found], name: str, program: str) -> Found:
    """The one of that name, of that program if one is given. Raises NoModel, UsageError when there are several."""
    mine = [model for model in found if program in ("", model.program)]
    fitting = [model for model in mine if name in (model.name, model.name.removesuffix(":latest"))]
    fitting = fitting or [model for model in mine if model.name.rpartition("/")[2] == name]
    if len(fitting) > 1:
        programs = " or ".join(f"{model.program} {model.name}" for model in fitting)
        raise UsageError(f"there are several models {name}: {programs}", hint="`--from PROGRAM`, or the whole name.")
    if not fitting:
        raise NoModel(
            f"no program keeps a model {name!r} here", hint="`ingle model import` lists those that were found."
        )
    if fitting[0].problem:
        raise NoModel(f"{fitting[0].name} of {fitting[0].program} cannot be used: {fitting[0].problem}")
    return fitting[0]


def _look(place: Place) -> Iterator[Found]:
    readers: dict[Program, Callable[[Path], Iterator[Found]]] = {
        "ollama": _ollama,
        "lmstudio": _lmstudio,
        "hub": lambda folder: _hub("hub", folder),
        "llama.cpp": _llama_cpp,
    }
    try:
        place.folder.stat()
        yield from readers[place.program](place.folder)
    except (FileNotFoundError, NotADirectoryError):
        return  # the program is not here, or has just tidied up
    except OSError as exc:
        yield Found(
            program=place.program,
            name="",
            path=str(place.folder),
            problem=f"the folder cannot be read: {exc.strerror}",
        )


# --- Ollama ----------------------------------------------------------------------------------------------


class _Layer(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Manifest(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...]


def _ollama(models: Path) -> Iterator[Found]:
    manifests = models / "manifests"
    for path in _files(manifests, ""):
        name = _ollama_name(path.relative_to(manifests))
        try:
            layers = _manifest(path).layers
        except (OSError, msgspec.DecodeError, RecursionError) as exc:
            yield Found(program="ollama", name=name, path=str(path), problem=f"its manifest is none: {reason(exc)}")
            continue
        weights = [layer.digest for layer in layers if layer.media_type == _MODEL_LAYER]
        if len(weights) > 1:
            yield Found(program="ollama", name=name, path=str(path), problem="it is in several files")
        elif weights:  # else it runs in Ollama's cloud, or is made of tensors one by one
            digest = weights[0].removeprefix("sha256:")
            yield _described("ollama", name, models / "blobs" / f"sha256-{digest}", digest)


def _ollama_name(path: Path) -> str:
    """As `ollama list` says it: NAME:TAG, with the registry where it is another."""
    return f"{path.parent.as_posix().removeprefix(_OLLAMA_OWN)}:{path.name}"


def _manifest(path: Path) -> _Manifest:
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with path.open("rb") as file:
        return msgspec.json.decode(file.read(_LARGEST_MANIFEST), type=_Manifest)


# --- LM Studio -------------------------------------------------------------------------------------------


class _Settings(msgspec.Struct, frozen=True, rename="camel"):
    downloads_folder: str = ""


def _lmstudio_folders(home: Path) -> list[Path]:
    """Where its models are: in its home, which may have been moved, or where its settings say."""
    homes = [home / ".lmstudio", home / ".cache/lm-studio"]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        homes.append(Path((home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()))
    found = [folder for place in homes for folder in (place / "models", _downloads(place)) if folder.is_absolute()]
    return list(dict.fromkeys(found))


def _downloads(home: Path) -> Path:
    """The folder that its settings name; no absolute one where they do not."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return Path(msgspec.json.decode((home / "settings.json").read_bytes(), type=_Settings).downloads_folder)
    return Path()


def _lmstudio(models: Path) -> Iterator[Found]:
    for path in _files(models, ".gguf"):
        yield _described("lmstudio", path.relative_to(models).as_posix(), path)


# --- folders of GGUF files -------------------------------------------------------------------------------


def _hub(program: Program, cache: Path) -> Iterator[Found]:
    for repo in sorted(cache.glob("models--*--*")):
        name = repo.name.removeprefix("models--").replace("--", "/", 1)
        snapshots = repo / "snapshots"
        newest: dict[str, Path] = {}
        for snapshot in sorted(snapshots.glob("*"), key=lambda folder: folder.stat().st_mtime):
            newest |= {path.relative_to(snapshot).as_posix(): path for path in _files(snapshot, ".gguf")}
        for file, path in newest.items():
            yield _of_hub(program, f"{name}/{file}", path, cache)


def _of_hub(program: Program, name: str, path: Path, cache: Path) -> Found:
    """A file of a snapshot is a link to a blob, which is called by its digest where it is a large file."""
    blob = path.resolve()
    if not blob.is_relative_to(cache.resolve()):
        return Found(program=program, name=name, path=str(path), problem=f"its link leads out of the cache, to {blob}")
    return _described(program, name, blob, blob.name if _BLOB.fullmatch(blob.name) else "")


def _llama_cpp(cache: Path) -> Iterator[Found]:
    for path in sorted(cache.glob("*.gguf")):
        if not _NO_MODEL.search(path.name):
            yield _described("llama.cpp", path.name, path)
    yield from _hub("llama.cpp", cache)


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    """The models below a folder, never through a link to another one, and not without end."""
    seen = 0
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > _MOST_FILES:
                return
            if name.lower().endswith(suffix) and not name.startswith(".") and not _NO_MODEL.search(name):
                yield Path(parent, name)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _described(program: Program, name: str, path: Path, sha256: str = "") -> Found:
    """A file as it is found, or why it is none that can be used."""
    problem, size = "", 0
    try:
        spec.refuse_parts(path.name)
        size = path.stat().st_size
        if not _begins_as_gguf(path):
            problem = "it is not a GGUF file"
    except UsageError as exc:
        problem = exc.message
    except OSError as exc:
        problem = f"it cannot be read: {exc.strerror}"
    return Found(program=program, name=name, path=str(path), size_bytes=size, sha256=sha256, problem=problem)


def _begins_as_gguf(path: Path) -> bool:
    if not path.is_file():
        return False  # a pipe would be waited for
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"
