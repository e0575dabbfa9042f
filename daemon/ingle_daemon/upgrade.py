"""Clients of another version, and a newer package on the disk: who is answered, and when the daemon makes room.

Both sides say which protocol they speak. As long as it is the same one, a daemon serves clients of any version until it
has nothing to do; then it ends, if its own files are of another version by now, and the next client starts the new one.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

import ingle_daemon
from ingle_daemon import PROTOCOL, __version__
from ingle_daemon.dialects.http import error_response
from ingle_daemon.errors import OtherVersion

__all__ = ["Traffic", "VersionDoor", "installed_version", "until_outdated"]

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 60.0
_FOR_ANYBODY = ("/ingle/status", "/ingle/stop")
"""What clients of every version understand, and need to get out of this."""


class Traffic:
    """The application, and how many requests are being answered by it, through whatever door."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._open += 1
        self._quiet.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            if not self._open:
                self._quiet.set()

    async def quiet(self) -> None:
        """Until nothing is being answered."""
        await self._quiet.wait()


class VersionDoor:
    """The application for clients that speak this protocol; the others are told so. `noticed`: one of another version
    came."""

    def __init__(self, app: ASGIApp, noticed: Callable[[], None]) -> None:
        self._app = app
        self._noticed = noticed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        version = headers.get(b"ingle-version", b"").decode("latin-1")
        if version and version != __version__:
            self._noticed()
        protocol = headers.get(b"ingle-protocol", str(PROTOCOL).encode()).decode("latin-1")
        if protocol == str(PROTOCOL) or scope["path"] in _FOR_ANYBODY:
            await self._app(scope, receive, send)
            return
        refusal = OtherVersion(
            f"this client is of ingle {version or 'another version'}, and the daemon that runs is {__version__}:"
            " they do not understand each other",
            hint="`ingle stop` ends it, and the next client starts its own. Where two are installed, use one.",
            daemon=__version__,
        )
        await error_response(refusal)(scope, receive, send)


def installed_version() -> str:
    """The version that the package's own files are of now; "" while they are not there."""
    try:
        text = Path(ingle_daemon.__file__).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    return found[1] if found else ""


async def until_outdated(noticed: asyncio.Event, quiet: Callable[[], Awaitable[None]]) -> None:
    """Until another version is installed, and nothing is being answered. It is looked for when `noticed` says so."""
    loop = asyncio.get_running_loop()
    while installed_version() in ("", __version__):
        noticed.clear()
        at_the_latest = loop.call_later(_LOOK_EVERY_S, noticed.set)
        await noticed.wait()
        at_the_latest.cancel()
    _log.info("another version is installed: ending when there is nothing to do", extra={"version": __version__})
    await quiet()
