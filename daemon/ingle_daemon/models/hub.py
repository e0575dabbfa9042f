"""A model from the Hugging Face hub, fetched by a child process, because a download in a thread cannot be cut off.

The child (`hub_process.py`) says on its standard output what it found, waits for a word on its standard input, and
says how it ended. It alone loads the hub's library: ingled stays small. This module does not know the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ingle_daemon.errors import NoModel, from_wire
from ingle_daemon.models import gguf
from ingle_daemon.models.catalog import Entry, Hub
from ingle_daemon.models.fetching import CHUNK, Report, Staged, in_thread, largest_file, printable, python, watched
from ingle_daemon.protocol import Pulling

__all__ = ["DiskFailed", "Failed", "Fetched", "Found", "fetch"]

_PROGRAM = "ingle_daemon.models.hub_process"


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line that the child says."""


class Found(_Message, frozen=True, kw_only=True):
    """The hub has the file. `sha256` is empty where the hub does not say it."""

    commit: str
    size_bytes: int
    sha256: str


class Fetched(_Message, frozen=True, kw_only=True):
    """The file is in the folder."""


class Failed(_Message, frozen=True, kw_only=True):
    """`error` is an IngleError on the wire."""

    error: dict[str, Any]


class DiskFailed(_Message, frozen=True, kw_only=True):
    errno: int


M = TypeVar("M", Found, Fetched)


async def fetch(entry: Entry, source: Hub, staging: Path, reserve: Callable[[int], None], report: Report) -> Staged:
    """The model in `staging`, whole and with the digest that the catalog pins, or else the hub promised.

    `reserve` is asked for the bytes that it takes before any of them comes. Raises NoModel, or the OSError of the disk.
    """
    report(Pulling(entry.name, "download", 0, entry.size_bytes))  # the hub takes a moment to answer
    found = await _download(entry, source, staging, reserve, report)
    path = staging / source.file
    expected = entry.sha256 or found.sha256
    digest = await _digest(entry.name, path, found.size_bytes, report)
    if digest != expected:
        raise _not_as_expected(source, f"its SHA-256 is {digest} instead of {expected}")
    await in_thread(lambda _: _check(path, source))
    return Staged(path=path, sha256=digest, origin=f"{source.repo}/{source.file}@{found.commit}")


# --- the child -------------------------------------------------------------------------------------------


async def _download(entry: Entry, source: Hub, staging: Path, reserve: Callable[[int], None], report: Report) -> Found:
    log = staging / "hub.log"
    with log.open("wb") as errors:
        async with python(
            *("-m", _PROGRAM, source.repo, source.file),
            folder=staging,
            env=_environment(staging),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
        ) as child:
            found = await _answer(child, Found, source, log)
            if not (entry.sha256 or found.sha256):
                raise _not_as_expected(source, "the hub gives no SHA-256 for it")
            reserve(found.size_bytes)

            def look() -> None:
                done = min(largest_file(staging), found.size_bytes)
                report(Pulling(entry.name, "download", done, found.size_bytes))

            assert child.stdin
            child.stdin.write(b"\n")
            await watched(_answer(child, Fetched, source, log), look)
    return found


def _environment(staging: Path) -> dict[str, str]:
    """What the library is told besides the user's own settings: endpoint, token and proxies are theirs."""
    return {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",  # it writes out of order, so that the size of the file is no progress
        "HF_HUB_CACHE": str(staging / ".cache"),  # never the user's, which would keep a second copy
    }


async def _answer(child: Process, kind: type[M], source: Hub, log: Path) -> M:
    """What the child says next. Raises what it met instead."""
    assert child.stdout
    line = await child.stdout.readline()
    if not line:
        raise _ended(source, await child.wait(), log)
    message = msgspec.json.decode(line, type=Found | Fetched | Failed | DiskFailed)
    if isinstance(message, Failed):
        raise from_wire(message.error)
    if isinstance(message, DiskFailed):
        raise OSError(message.errno, os.strerror(message.errno))
    assert isinstance(message, kind)
    return message


# --- the file --------------------------------------------------------------------------------------------


async def _digest(model: str, path: Path, size_bytes: int, report: Report) -> str:
    loop = asyncio.get_running_loop()

    def progress(done: int) -> None:
        loop.call_soon_threadsafe(report, Pulling(model, "verify", done, size_bytes))

    return await in_thread(lambda stop: _hash(path, progress, stop))


def _hash(path: Path, progress: Callable[[int], None], stop: threading.Event) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while not stop.is_set() and (chunk := file.read(CHUNK)):
            digest.update(chunk)
            progress(done := done + len(chunk))
    return digest.hexdigest()


def _check(path: Path, source: Hub) -> gguf.Header:
    with path.open("rb") as file:
        return gguf.parse(file, path.stat().st_size, f"{source.file} of {source.repo}")


# --- what can go wrong -----------------------------------------------------------------------------------


def _not_as_expected(source: Hub, why: str) -> NoModel:
    return NoModel(
        f"{source.file} of {source.repo} is not as expected: {why}",
        hint="Nothing was installed. Try again; if it fails again, the hub, or HF_ENDPOINT, serves another file.",
    )


def _ended(source: Hub, code: int, log: Path) -> NoModel:
    """The child ended without a word: it was killed, or met a defect."""
    said = log.read_text(encoding="utf-8", errors="replace").split("\n")
    reason = next((line for line in reversed(said) if line.strip()), f"it ended with code {code}")
    return NoModel(
        f"the download of {source.file} of {source.repo} broke off: {printable(reason)}",
        hint="Nothing was installed. Try again.",
    )
