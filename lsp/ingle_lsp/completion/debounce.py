"""One live piece of work per key: it waits for a pause in typing, and a newer one takes its place.

This module knows neither documents nor completions. The sleep is passed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["Debouncer"]

T = TypeVar("T")


class Debouncer:
    """Runs work after a delay, unless something newer comes first."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._live: dict[str, asyncio.Task[Any]] = {}

    async def run(self, key: str, delay: float, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` returns `delay` seconds from now; None when it was superseded.

        Cancelling this call cancels the work.
        """
        self.supersede(key)
        task = asyncio.ensure_future(self._later(delay, work))
        self._live[key] = task
        try:
            await asyncio.wait([task])  # unlike `await task`, not ended by the cancellation of the task alone
        finally:
            task.cancel()
            if self._live.get(key) is task:
                del self._live[key]
        return None if task.cancelled() else task.result()

    def supersede(self, key: str) -> None:
        """Cancel what is waiting or running for `key`."""
        if task := self._live.pop(key, None):
            task.cancel()

    async def _later(self, delay: float, work: Callable[[], Awaitable[T]]) -> T:
        if delay > 0:
            await self._sleep(delay)
        return await work()
