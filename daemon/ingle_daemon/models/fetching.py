"""What fetching a model takes wherever it comes from: a child process that can be ended, a thread that can be told to
stop, and progress.

This module does not know what is fetched, nor which program fetches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from ingle_daemon.protocol import Pulling

__all__ = ["CHUNK", "Report", "Staged", "in_thread", "largest_file", "printable", "python", "watched"]

CHUNK = 1 << 20
_TICK_S = 0.2
_LONGEST_LINE = 8 << 20
_LONGEST_REASON = 300

Report = Callable[[Pulling], None]
T = TypeVar("T")


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A verified file in the staging folder. `origin` says where it came from, for people to read."""

    path: Path
    sha256: str
    origin: str


@contextlib.asynccontextmanager
async def python(
    *arguments: str,
    folder: Path,
    env: Mapping[str, str],
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
    stderr: int | IO[bytes] = asyncio.subprocess.DEVNULL,
) -> AsyncGenerator[Process, None]:
    """This Python in a child process that works in `folder`; whatever it still does ends with the block."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env={**os.environ, **env},
        start_new_session=True,  # what the child starts ends with it
        limit=_LONGEST_LINE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        if child.stdin:
            child.stdin.close()
        await child.communicate()


async def watched(work: Awaitable[T], look: Callable[[], None]) -> T:
    """The result of `work`, with a look at how far it is every now and then."""
    running = asyncio.ensure_future(work)
    try:
        while not running.done():
            await asyncio.wait([running], timeout=_TICK_S)
            look()
        return running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run `work` in a thread. Cancelled, tell it to stop and wait: it still uses the staging folder."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(running, return_exceptions=True)
        raise


def largest_file(folder: Path) -> int:
    """How far a download into `folder` is: the size of its largest file."""
    largest = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # its maker moves its files about
            largest = max(largest, path.stat().st_size)
    return largest


def printable(reason: str) -> str:
    """What a program said, without the passwords and signatures that the URLs in it may hold."""
    without_password = re.sub(r"://[^/@\s]+@", "://", reason)
    return re.sub(r"(://[^?\s]+)\?\S+", r"\1", without_password)[:_LONGEST_REASON]
