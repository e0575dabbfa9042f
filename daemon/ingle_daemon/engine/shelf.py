"""KV states that had to leave the cache, kept in host memory (and, between two runs, on disk) for when they are wanted.

Putting one back takes milliseconds where evaluating its tokens anew takes seconds. This module knows tokens and opaque
bytes; it never sees the cache. The least recently used go first when the byte budget is full.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

__all__ = ["Shelf", "read_snapshot", "write_snapshot"]

_WORTH_KEEPING = 64
"""Fewer tokens than this are evaluated anew as fast as they are found."""
_INDEX = "index"


@dataclass(slots=True)
class _Kept:
    """One state. `load` gives its bytes, or None when they are damaged."""

    tokens: list[int]
    size: int
    load: Callable[[], bytes | None]


class Shelf:
    """States by their tokens, at most `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: list[_Kept] = []  # least recently used first

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(kept.size for kept in self._kept)

    def wants(self, tokens: tuple[int, ...]) -> bool:
        """Whether `tokens` are worth the time to save them: long enough, and not part of something kept."""
        mine = list(tokens)
        return len(mine) >= _WORTH_KEEPING and not any(kept.tokens[: len(mine)] == mine for kept in self._kept)

    def put(self, tokens: tuple[int, ...], state: bytes) -> None:
        """Keep a state. What it extends goes, and then the oldest, until it fits."""
        self._add(list(tokens), len(state), lambda: state)

    def put_lazily(self, tokens: list[int], size: int, load: Callable[[], bytes | None]) -> None:
        """Keep a state whose bytes are fetched by `load` when they are wanted."""
        self._add(tokens, size, load)

    def take(self, worth: Callable[[list[int]], int], more_than: int) -> tuple[list[int], bytes] | None:
        """The state whose tokens are `worth` most, if that is more than `more_than` by enough to be worth the time."""
        while self._kept:
            best = max(self._kept, key=lambda kept: worth(kept.tokens))
            if worth(best.tokens) < more_than + _WORTH_KEEPING:
                return None
            self._kept.remove(best)
            if state := best.load():
                return best.tokens, state
        return None

    def all(self) -> list[tuple[list[int], bytes]]:
        """Every state that can still be read, the most recently used first."""
        loaded = ((kept.tokens, kept.load()) for kept in reversed(self._kept))
        return [(tokens, state) for tokens, state in loaded if state]

    def _add(self, tokens: list[int], size: int, load: Callable[[], bytes | None]) -> None:
        self._kept = [kept for kept in self._kept if tokens[: len(kept.tokens)] != kept.tokens]
        if size > self._max_bytes:
            return
        while self.size + size > self._max_bytes:
            self._kept.pop(0)
        self._kept.append(_Kept(tokens, size, load))


class _Entry(msgspec.Struct, frozen=True):
    """One state in a snapshot's index."""

    file: str
    size: int
    sha256: str
    tokens: list[int]


def write_snapshot(folder: Path, states: list[tuple[list[int], bytes]], max_bytes: int) -> None:
    """Write `states`, the most wanted first, into `folder`, as many as `max_bytes` hold.

    They hold the user's code: the folder is made for its owner alone, as is everything in it (the process's umask).
    The index is written last, by rename: a snapshot cut short is none.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _INDEX).unlink(missing_ok=True)
    for old in folder.iterdir():
        old.unlink()
    entries, left = [], max_bytes
    for number, (tokens, state) in enumerate(states):
        if len(state) > left:
            continue
        left -= len(state)
        (folder / str(number)).write_bytes(state)
        entries.append(_Entry(str(number), len(state), hashlib.sha256(state).hexdigest(), tokens))
    fresh = folder / f"{_INDEX}.new"
    fresh.write_bytes(msgspec.msgpack.encode(entries))
    fresh.replace(folder / _INDEX)


def read_snapshot(folder: Path, shelf: Shelf) -> None:
    """Put on `shelf` what a snapshot holds; the states themselves are read when they are wanted, and checked then."""
    with contextlib.suppress(OSError, msgspec.DecodeError):  # none, or a damaged one: there is nothing to put back
        index = folder / _INDEX
        if index.stat().st_uid != os.getuid():
            return
        entries = msgspec.msgpack.decode(index.read_bytes(), type=list[_Entry])
        for entry in reversed(entries):
            shelf.put_lazily(entry.tokens, entry.size, _reader(folder / Path(entry.file).name, entry.sha256))


def _reader(path: Path, sha256: str) -> Callable[[], bytes | None]:
    def read() -> bytes | None:
        try:
            state = path.read_bytes()
        except OSError:
            return None
        return state if hashlib.sha256(state).hexdigest() == sha256 else None

    return read
