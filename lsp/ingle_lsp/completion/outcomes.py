"""What became of completions, told to the daemon in batches. Losing some is no error: they are notes, not work.

This module knows the daemon's `/ingle/outcomes` and no editor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from ingle_daemon import client
from ingle_daemon.errors import IngleError
from ingle_daemon.protocol import Outcome

__all__ = ["Outcomes", "post"]

_log = logging.getLogger(__name__)
_EVERY = 1.0
"""Seconds that outcomes are gathered for: a request for each would cost more than the completion."""
_MOST = 200

Post = Callable[[list[Outcome]], Awaitable[None]]


async def post(outcomes: list[Outcome]) -> None:
    """Tell the daemon, if it runs."""
    await client.acall("POST", "/ingle/outcomes", msgspec.to_builtins(outcomes), autostart=False)


class Outcomes:
    """Gathers outcomes and sends them from time to time."""

    def __init__(self, send: Post = post, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._send = send
        self._sleep = sleep
        self._waiting: list[Outcome] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, outcome: Outcome) -> None:
        """Note one; it is sent within a second or so."""
        self._waiting = [*self._waiting[1 - _MOST :], outcome]
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._later())

    async def _later(self) -> None:
        await self._sleep(_EVERY)
        batch, self._waiting = self._waiting, []
        try:
            await self._send(batch)
        except IngleError as error:
            _log.info("outcomes are lost: %s", error.code)
