"""How long to wait for a pause in typing; and one live piece of work per key, whose place a newer one takes.

This module knows neither documents nor completions. The sleep is passed in.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["Debouncer", "Rhythm"]

T = TypeVar("T")
_GRACE = 0.1
"""Seconds between an editor's cancellation of a request and its next one, which may want to join the work."""


class Debouncer:
    """Runs work after a delay, unless something newer comes first."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._live: dict[str, asyncio.Task[Any]] = {}
        self._waiting: Counter[asyncio.Task[Any]] = Counter()

    async def run(self, key: str, delay: float, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` returns `delay` seconds from now; None when it was superseded.

        Cancelling this call cancels the work, unless somebody joins it at once.
        """
        self.supersede(key)
        task = self._live[key] = asyncio.ensure_future(self._later(delay, work))
        task.add_done_callback(lambda _: self._live.pop(key) if self._live.get(key) is task else None)
        return await self._wait(task)

    async def join(self, key: str) -> None:
        """Wait until what is waiting or running for `key` has ended, if anything is; its result is its starter's."""
        if task := self._live.get(key):
            await self._wait(task)

    async def _wait(self, task: asyncio.Task[T]) -> T | None:
        self._waiting[task] += 1
        try:
            await asyncio.wait([task])  # unlike `await task`, not ended by the cancellation of the task alone
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(_GRACE, self._abandon, task)
            raise
        finally:
            self._waiting[task] -= 1
            if task.done():
                del self._waiting[task]
        return None if task.cancelled() else task.result()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel what nobody waits for any more."""
        if not self._waiting[task]:
            task.cancel()
            del self._waiting[task]

    def supersede(self, key: str) -> None:
        """Cancel what is waiting or running for `key`."""
        if task := self._live.pop(key, None):
            task.cancel()

    async def _later(self, delay: float, work: Callable[[], Awaitable[T]]) -> T:
        if delay > 0:
            await self._sleep(delay)
        return await work()


class Rhythm:
    """How fast somebody types, and from that how long to wait for a pause.

    Half of the usual time between two keys: who has not typed for that long mostly looks at what stands there. Tabby
    waits for one and a half times it, less what an answer takes; here a request that the next key makes useless costs
    few tokens, so that waiting longer than that costs more than it saves.
    """

    _SHARE = 0.5
    _SHORTEST, _LONGEST = 0.02, 0.15
    _PAUSE = 1.0
    """Seconds; a longer time between two keys is no typing."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._usual = self._LONGEST / self._SHARE / 2

    def key(self, now: float) -> None:
        """Something was typed at `now`, in seconds."""
        since, self._last = now - self._last, now
        if since < self._PAUSE:
            self._usual += 0.2 * (since - self._usual)

    @property
    def delay(self) -> float:
        """Seconds to wait before asking."""
        return min(max(self._usual * self._SHARE, self._SHORTEST), self._LONGEST)
