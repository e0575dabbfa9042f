"""Questions that name a model, where one worker holds one model at a time.

Whoever needs another model than the loaded one waits until those who use that one are done, in the order they came;
then the worker is replaced. What is not asked of any model by name (completions) runs on whatever is loaded. A while
after the last question that named one, the current model comes back by itself. It knows names, not how a model is
loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Switch"]

_RETURN_AFTER_S = 60.0


class Switch:
    """Which model is loaded: "" is the current one. `load` loads a model, "" the current one, in place of the other."""

    def __init__(self, load: Callable[[str], Awaitable[None]], *, return_after: float = _RETURN_AFTER_S) -> None:
        self._load = load
        self._return_after = return_after
        self._loaded = ""
        self._users = 0
        self._free = asyncio.Event()
        self._turn = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> str:
        return self._loaded

    @contextlib.asynccontextmanager
    async def using(self, model: str) -> AsyncIterator[None]:
        """`model` stays loaded until the end of the block."""
        await self._enter(model)
        try:
            yield
        finally:
            self._leave()

    def forget(self) -> None:
        """The current model has been loaded, by somebody else."""
        self._loaded = ""

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)

    async def _enter(self, model: str) -> None:
        async with self._turn:
            while self._users and model != self._loaded:
                self._free.clear()
                await self._free.wait()
            if self._timer is not None:
                self._timer.cancel()
            if model != self._loaded:
                self._loaded = model
                await self._load(model)
            self._users += 1

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._free.set()
            if self._loaded:
                self._timer = asyncio.get_running_loop().call_later(self._return_after, self._go_back)

    def _go_back(self) -> None:
        self._returning = asyncio.create_task(self._use_current())

    async def _use_current(self) -> None:
        async with self.using(""):
            pass
