"""A file from a server, fetched by a child process, because a download in a thread cannot be cut off.

The child alone loads the hub's library: ingled stays small. What is said to it and by it is drawn in `transfer.py`.
What came before an interruption is gone on with (`partial.py`). This module does not know the store, nor which program
the child is: it starts the one that it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from ingle_daemon.errors import NoModel, from_wire
from ingle_daemon.models import gguf, seal
from ingle_daemon.models.fetching import Report, Staged, in_thread, printable, python, watched
from ingle_daemon.models.partial import Partials
from ingle_daemon.protocol import Pulling

__all__ = [
    "DiskFailed",
    "Failed",
    "Fetched",
    "Found",
    "Go",
    "Job",
    "Listed",
    "Means",
    "Waiting",
    "Wanted",
    "fetch",
    "listing",
]

_ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_XET": "1",  # it writes out of order, so that the size of the file is no progress
}
"""What the library is told besides the user's own settings: endpoint, token and proxies are theirs."""


_AGAIN = "try again: it goes on with what is there already."


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to fetch: `file` of the hub's repository `repo`, or what lies at `url`.

    Of a repository without a file, its files are wanted.
    """

    repo: str = ""
    file: str = ""
    url: str = ""


class Go(msgspec.Struct, frozen=True, kw_only=True):
    """The word to go on: fetch it into this file, after what is in it already if that may be gone on with."""

    part: str
    resume: bool


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A line that the child says."""


class Found(_Message, frozen=True, kw_only=True):
    """The server has the file. `sha256` is empty where it does not say it.

    `version` tells one content of the file from another: another version is not the rest of this one. Where it is
    empty, and no digest is known either, a download that was cut begins anew.
    """

    size_bytes: int
    sha256: str
    version: str
    origin: str
    """Where it came from, for people to read: no password, no signature."""


class Listed(_Message, frozen=True, kw_only=True):
    """The GGUF files of the repository."""

    files: tuple[str, ...]


class Waiting(_Message, frozen=True, kw_only=True):
    """The server asked to wait, and is asked again then."""

    seconds: int


class Fetched(_Message, frozen=True, kw_only=True):
    """It is done."""


class Failed(_Message, frozen=True, kw_only=True):
    """`error` is an IngleError on the wire."""

    error: dict[str, Any]


class DiskFailed(_Message, frozen=True, kw_only=True):
    errno: int


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a download needs besides its source.

    `reserve` is asked for bytes before any of them comes, and raises the OSError of a full disk; after `patience`
    seconds without a byte the download is ended.
    """

    partials: Partials
    reserve: Callable[[int], None]
    report: Report
    patience: float


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file to fetch. `sha256` is what it must be; empty where nobody has said it."""

    model: str
    what: str
    """Its name in messages."""
    program: str
    """The child: a module."""
    job: Job
    sha256: str = ""
    size_bytes: int = 0
    """Approximately; 0 where it is not known before the server says it."""
    vouched: bool
    """Its server has to say a digest where none is known; an address that somebody typed does not."""


M = TypeVar("M", Found, Fetched, Listed)
T = TypeVar("T")


async def fetch(wanted: Wanted, means: Means, adopt: Callable[[Staged], T]) -> T:
    """The file, whole and with the digest that is known of it, handed to `adopt` in a thread; that moves it away.

    Raises NoModel, or the OSError of the disk. What came stays for the next time, unless it is not what was wanted.
    """
    means.report(Pulling(wanted.model, "download", 0, wanted.size_bytes))  # the server takes a moment to answer
    async with _child(wanted, means) as child:
        found = await child.hear(Found)
        expected = wanted.sha256 or found.sha256
        if wanted.vouched and not expected:
            raise _not_as_expected(wanted, "the hub gives no SHA-256 for it")
        with means.partials.open(expected or _key(wanted.job, found), wanted.model, found.size_bytes) as part:
            await _download(child, part, found, means, resume=bool(expected or found.version))
            return await _verified(wanted, found, expected, part, means, adopt)


async def listing(wanted: Wanted, means: Means) -> tuple[str, ...]:
    """The names of the files in a repository. Raises NoModel."""
    means.report(Pulling(wanted.model, "download", 0, wanted.size_bytes, note=f"asking the hub for {wanted.job.repo}"))
    async with _child(wanted, means) as child:
        return (await child.hear(Listed)).files


def _key(job: Job, found: Found) -> str:
    """What tells this content of this file from any other, where no digest does."""
    return f"{job.repo} {job.file} {job.url} {found.size_bytes} {found.version}"


async def _download(child: _Child, part: Path, found: Found, means: Means, *, resume: bool) -> None:
    have = _size(part) if resume else 0
    means.reserve(max(0, found.size_bytes - have))
    if have:
        means.report(child.pulling(have, found.size_bytes, note="going on where it was interrupted"))

    def look() -> int:
        done = _size(part)
        if done > found.size_bytes:
            raise _not_as_expected(child.wanted, f"it is longer than the {found.size_bytes:,} bytes announced")
        means.report(child.pulling(done, found.size_bytes))
        return done

    child.say(Go(part=str(part), resume=resume))
    try:
        await child.hear(Fetched, look)
    except NoModel as exc:
        exc.details["kept_bytes"] = _size(part)
        raise


def _size(part: Path) -> int:
    return part.stat().st_size


async def _verified(
    wanted: Wanted, found: Found, expected: str, part: Path, means: Means, adopt: Callable[[Staged], T]
) -> T:
    """Hash it, look into it, and let it be adopted; what is not as it must be is thrown away."""
    loop = asyncio.get_running_loop()

    def progress(done: int) -> None:
        loop.call_soon_threadsafe(means.report, Pulling(wanted.model, "verify", done, found.size_bytes))

    digest = await in_thread(lambda stop: seal.digest(part, progress, stop))

    def finish(_: threading.Event) -> T:
        try:
            if expected and digest != expected:
                raise _not_as_expected(wanted, f"its SHA-256 is {digest} instead of {expected}")
            with part.open("rb") as file:
                gguf.parse(file, found.size_bytes, wanted.what)
        except NoModel:
            part.unlink()
            raise
        return adopt(Staged(path=part, sha256=digest, origin=found.origin))

    return await in_thread(finish)


# --- the child -------------------------------------------------------------------------------------------


class _Child:
    """What is said to the child and by it. Silent for longer than `patience` without a new byte, it is given up."""

    def __init__(self, process: Process, wanted: Wanted, means: Means, log: IO[bytes]) -> None:
        self.wanted = wanted
        self._process = process
        self._means = means
        self._log = log

    def pulling(self, done: int, total: int, note: str = "") -> Pulling:
        return Pulling(self.wanted.model, "download", done, total, note)

    def say(self, message: Job | Go) -> None:
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def hear(self, kind: type[M], done: Callable[[], int] = lambda: 0) -> M:
        """What the child says next, with a look at how much is `done` meanwhile. Raises what it met instead."""
        watch = _Patience(self._means.patience)

        def look() -> None:
            if watch.ended(done()):
                raise _stalled(self.wanted, self._means.patience)

        while True:
            message = await watched(self._read(), look)
            if isinstance(message, Waiting):
                watch.extend(message.seconds)
                note = f"the server asks to wait {message.seconds} s"
                self._means.report(self.pulling(done(), self.wanted.size_bytes, note))
                continue
            if isinstance(message, Failed):
                raise from_wire(message.error)
            if isinstance(message, DiskFailed):
                raise OSError(message.errno, os.strerror(message.errno))
            assert isinstance(message, kind)
            return message

    async def _read(self) -> Found | Listed | Waiting | Fetched | Failed | DiskFailed:
        assert self._process.stdout
        line = await self._process.stdout.readline()
        try:
            return msgspec.json.decode(line, type=Found | Listed | Waiting | Fetched | Failed | DiskFailed)
        except msgspec.DecodeError as exc:  # its end, or what a library prints before it
            raise _ended(self.wanted, await self._process.wait(), self._log) from exc


@contextlib.asynccontextmanager
async def _child(wanted: Wanted, means: Means) -> AsyncGenerator[_Child, None]:
    with tempfile.TemporaryFile() as log:
        async with python(
            *("-m", wanted.program),
            folder=Path("/"),
            env=_ENVIRONMENT,
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
        ) as process:
            child = _Child(process, wanted, means, log)
            child.say(wanted.job)
            yield child


class _Patience:
    """How long nothing has come."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = -1
        self._until = 0.0

    def ended(self, done: int) -> bool:
        now = time.monotonic()
        if done != self._done:
            self._done, self._until = done, now + self._seconds
        return now > self._until

    def extend(self, seconds: float) -> None:
        self._until += seconds


# --- what can go wrong -----------------------------------------------------------------------------------


def _not_as_expected(wanted: Wanted, why: str) -> NoModel:
    return NoModel(
        f"{wanted.what} is not as expected: {why}",
        hint="Nothing was installed. Try again; if it fails again, the hub, or HF_ENDPOINT, serves another file."
        if wanted.vouched
        else "Nothing was installed. Try again; if it fails again, the server has another file.",
    )


def _stalled(wanted: Wanted, seconds: float) -> NoModel:
    return NoModel(
        f"the download of {wanted.what} was given up: nothing came for {seconds:g} s",
        hint=f"Check the network, then {_AGAIN}",
    )


def _ended(wanted: Wanted, code: int, log: IO[bytes]) -> NoModel:
    """The child ended without a word: it was killed, or met a defect."""
    log.seek(0)
    said = log.read().decode("utf-8", "replace").split("\n")
    reason = next((line for line in reversed(said) if line.strip()), f"it ended with code {code}")
    return NoModel(
        f"the download of {wanted.what} broke off: {printable(reason)}", hint=f"If the network is up, {_AGAIN}"
    )
