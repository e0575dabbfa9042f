"""What a GGUF file says about itself, and whether it is whole: a look at its head before llama.cpp maps it.

The file is not to be trusted: every count and length in it is held against the bytes that are left, nothing
is read past its end, and little of what is read is kept. This module reads files; it knows no llama.cpp.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from ingle_daemon.errors import NoModel
from ingle_daemon.models.gguf_shape import KEYS, MOST_LAYERS, Tensor, Value, shape_of
from ingle_daemon.models.shape import STEADY, Shape

__all__ = ["Header", "check", "parse"]

_VERSIONS = (2, 3)
_MAGIC = b"GGUF"
_DEFAULT_ALIGNMENT = 32
_LONGEST_TEXT = 1024  # bytes kept of a string; a chat template is longer, but only its presence counts
_MOST_KEYS = 10_000  # real files: under 100
_MOST_WANTED = 500  # real files: under 40
_MOST_TENSORS = 20_000  # real files: under 2,000
_MOST_DIMENSIONS = 4
_MOST_TEXTS = 2_000_000  # real files: under 1,000,000, the vocabulary and what merges into it
_LONGEST_NAME = 64  # ggml has room for no more

_STRING, _ARRAY = 8, 9
_WIDTHS = {
    0: 1,
    1: 1,
    2: 2,
    3: 2,
    4: 4,
    5: 4,
    6: 4,
    7: 1,
    10: 8,
    11: 8,
    12: 8,
}  # bytes of a value, by its type
_INTEGERS = frozenset((0, 1, 2, 3, 4, 5, 10, 11))
_SIGNED = frozenset((1, 3, 5, 11))

# ggml's tensor types: by the number of values in a block, the bytes of a block of each type
_BLOCK_BYTES = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 40, 20: 18, 39: 17},
    64: {40: 36},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50}
    | {21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
_WANTED = frozenset(("general.architecture", "general.name", "general.alignment", "tokenizer.chat_template"))
Values = dict[str, Value]

_BLOCKS = {kind: (values, size) for values, sizes in _BLOCK_BYTES.items() for kind, size in sizes.items()}


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole GGUF file says. 0, empty or None where it does not say it.

    llama.cpp finds fill-in-the-middle tokens by their text too: None does not mean that there are none.
    """

    version: int
    tensors: int
    architecture: str
    name: str
    context_length: int
    chat_template: bool
    fim_prefix: int | None
    fim_suffix: int | None
    fim_middle: int | None
    shape: Shape | None = None
    """None for a file that is no language model's, or not all of one."""


class _DamagedError(Exception):
    """What is wrong with the file."""


def check(path: Path) -> Header:
    """The head of a GGUF file. Raises NoModel when it is missing, no GGUF, damaged or cut short."""
    try:
        with path.open("rb") as file:
            return parse(file, os.fstat(file.fileno()).st_size, str(path))
    except OSError as exc:
        raise NoModel(
            f"cannot read the model {path}: {exc.strerror}",
            hint="Check the path, and the permissions of the file.",
            path=str(path),
        ) from exc


def parse(file: BinaryIO, size: int, name: str) -> Header:
    """The head of a GGUF of `size` bytes, read from its beginning; `name` is what the error calls it."""
    try:
        return _header(_Reader(file, size))
    except _DamagedError as exc:
        raise NoModel(f"{name} {exc}", hint="Fetch the model again, or choose another file.", path=name) from exc


class _Reader:
    """Bytes from the front to the back, never more than there are."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0
        self._texts = 0

    @property
    def position(self) -> int:
        return self._at

    @property
    def size(self) -> int:
        return self._size

    def take(self, count: int) -> bytes:
        self._advance(count)
        data = self._file.read(count)
        if len(data) != count:
            raise _DamagedError("is cut short")
        return data

    def skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(count, io.SEEK_CUR)

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self) -> str:
        """A string, as much of it as is worth keeping."""
        length = self.u64()
        kept = min(length, _LONGEST_TEXT)
        text = self.take(kept)
        self.skip(length - kept)
        return text.decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        """Pass over so many strings."""
        self._texts += count
        if self._texts > _MOST_TEXTS:
            raise _DamagedError(f"is damaged: it announces a list of {count} texts")
        for _ in range(count):
            self.skip(self.u64())

    def _advance(self, count: int) -> None:
        if count > self._size - self._at:
            raise _DamagedError(f"is cut short: it ends at byte {self._size}")
        self._at += count


def _header(reader: _Reader) -> Header:
    if reader.size < len(_MAGIC) or reader.take(len(_MAGIC)) != _MAGIC:
        raise _DamagedError("is not a GGUF file")
    version = reader.u32()
    if version not in _VERSIONS:
        raise _DamagedError(f"is a GGUF of version {version}, which is not supported")
    count, keys = reader.u64(), reader.u64()
    if count > _MOST_TENSORS or keys > _MOST_KEYS:
        raise _DamagedError(f"is damaged: it announces {count} tensors and {keys} keys")
    values = _key_values(reader, keys)
    tensors = _tensors(reader, count, _alignment(values))
    architecture = str(values.get("general.architecture", ""))
    return Header(
        version=version,
        tensors=count,
        architecture=architecture,
        name=str(values.get("general.name", "")),
        context_length=_integer(values.get(f"{architecture}.context_length")) or 0,
        chat_template=bool(values.get("tokenizer.chat_template")),
        fim_prefix=_token(values, "fim_pre", "prefix"),
        fim_suffix=_token(values, "fim_suf", "suffix"),
        fim_middle=_token(values, "fim_mid", "middle"),
        shape=_shape(architecture, values, tensors),
    )


def _shape(architecture: str, values: Values, tensors: list[Tensor]) -> Shape | None:
    try:
        return shape_of(architecture, values, tensors)
    except ValueError as exc:
        raise _DamagedError(f"is damaged: {exc}") from exc


def _integer(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _token(values: Values, *names: str) -> int | None:
    """The id of a token, under its name of today or an earlier one."""
    found = (_integer(values.get(f"tokenizer.ggml.{name}_token_id")) for name in names)
    return next((token for token in found if token is not None), None)


def _alignment(values: Values) -> int:
    alignment = _integer(values.get("general.alignment")) or _DEFAULT_ALIGNMENT
    if alignment < 1 or alignment & (alignment - 1):
        raise _DamagedError(f"is damaged: its tensors are aligned to {alignment} bytes")
    return alignment


# --- keys and values -------------------------------------------------------------------------------------


def _key_values(reader: _Reader, count: int) -> Values:
    """What is asked for. The rest is passed over."""
    values: Values = {}
    for _ in range(count):
        key = reader.text()
        value = _value(reader, reader.u32())
        if value is not None and _is_wanted(key):
            values[key] = value
        if len(values) > _MOST_WANTED:
            raise _DamagedError(f"is damaged: it says the same of {len(values)} things")
    return values


def _is_wanted(key: str) -> bool:
    return key in _WANTED or key.endswith("_token_id") or key.partition(".")[2] in KEYS


def _value(reader: _Reader, kind: int) -> Value | None:
    """A value: text, whole numbers, and as many of these as there can be layers. The rest is passed over."""
    if kind == _STRING:
        return reader.text()
    if kind == _ARRAY:
        return _array(reader)
    data = reader.take(_width(kind))
    return int.from_bytes(data, "little", signed=kind in _SIGNED) if kind in _INTEGERS else None


def _width(kind: int) -> int:
    if kind not in _WIDTHS:
        raise _DamagedError(f"is damaged: there is no value type {kind}")
    return _WIDTHS[kind]


def _array(reader: _Reader) -> tuple[int, ...] | None:
    kind, count = reader.u32(), reader.u64()
    if kind == _STRING:
        reader.skip_texts(count)
        return None
    width = _width(kind)
    if kind not in _INTEGERS or count > MOST_LAYERS:
        reader.skip(count * width)
        return None
    data = reader.take(count * width)
    return tuple(
        int.from_bytes(data[at : at + width], "little", signed=kind in _SIGNED) for at in range(0, len(data), width)
    )


# --- tensors ---------------------------------------------------------------------------------------------


def _tensors(reader: _Reader, count: int, alignment: int) -> list[Tensor]:
    """Every tensor, each of which must lie within the file."""
    tensors, end = [], 0
    for _ in range(count):
        tensor, offset = _tensor(reader)
        tensors.append(tensor)
        end = max(end, offset + tensor.bytes)
    start = -(-reader.position // alignment) * alignment
    if start + end > reader.size:
        raise _DamagedError(f"is cut short: {start + end} bytes are announced, {reader.size} are there")
    return tensors


def _tensor(reader: _Reader) -> tuple[Tensor, int]:
    """The next tensor, and where its data begins."""
    name = reader.text()
    if len(name) > _LONGEST_NAME:
        raise _DamagedError(f"is damaged: it has a tensor with a name of {len(name)} characters")
    count = reader.u32()
    if count > _MOST_DIMENSIONS:
        raise _DamagedError(f"is damaged: it has a tensor of {count} dimensions")
    dimensions = [reader.u64() for _ in range(count)]
    kind, offset = reader.u32(), reader.u64()
    block, block_bytes = _BLOCKS.get(kind, (1, 0))  # of a type newer than this table only the place is checked
    size = math.prod(dimensions) // block * block_bytes
    return Tensor(name, math.prod(dimensions[1:]), size, kind in STEADY.values()), offset
