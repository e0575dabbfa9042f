"""Two models on one machine: one completes, the other answers questions. Both are loaded where both fit.

Where they do not, the memory goes to one at a time, and completions decide how: a question has the answering model
loaded once nothing was completed for some seconds, so that typing never waits for models that come and go; a completion
has its own back as soon as no question runs, and is refused, not held up, while one does. It knows backends by what
loads and unloads them, not what they are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import ModelLoading
from ingle_daemon.protocol import Delta, Done, Fit, GenerateRequest, ModelInfo, Prompt, Started

__all__ = ["Home", "Pair", "Seat"]

_log = logging.getLogger(__name__)
_QUIET_S = 10.0
"""Who types pauses for less; who asks a question has stopped."""


class Home(Protocol):
    """A model's place in memory, as far as its neighbour is concerned."""

    @property
    def backend(self) -> Backend: ...
    @property
    def loaded(self) -> bool:
        """It takes memory, or is about to."""

    async def leave(self, why: str) -> None:
        """Out of memory; returns when it is free."""

    async def fits_beside(self, neighbour: Home) -> bool:
        """Whether it can be loaded as if the neighbour's model were not there."""

    @property
    def held_ram(self) -> int:
        """Bytes of memory that it takes and that the system counts as free: its weights."""


class Seat(Backend):
    """One of the two, as its users see it: its model is loaded while they ask anything of it."""

    def __init__(self, home: Home, turn: Callable[[], contextlib.AbstractAsyncContextManager[None]]) -> None:
        self._home = home
        self._turn = turn

    async def start(self) -> None:
        await self._home.backend.start()

    async def stop(self) -> None:
        await self._home.backend.stop()

    def status(self) -> dict[str, object]:
        return self._home.backend.status()

    async def info(self) -> ModelInfo:
        async with self._turn():
            return await self._home.backend.info()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        async with self._turn(), aclosing(self._home.backend.generate(request)) as events:
            async for event in events:
                yield event

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        async with self._turn():
            return await self._home.backend.fit(prompt, reserved)

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        async with self._turn():
            return await self._home.backend.tokenize(text, special=special)

    async def render(self, prompt: Prompt) -> str:
        async with self._turn():
            return await self._home.backend.render(prompt)

    async def detokenize(self, tokens: list[int]) -> str:
        async with self._turn():
            return await self._home.backend.detokenize(tokens)


class Pair:
    """`completing` and `answering` are the two as backends; `question` holds the second one's place."""

    def __init__(
        self,
        completing: Home,
        answering: Home,
        *,
        quiet: float = _QUIET_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._completing = completing
        self._answering = answering
        self._quiet = quiet
        self._clock = clock
        self._sleep = sleep
        self._last_completion = -math.inf
        self._questions = 0
        self._completions = 0
        self._nothing_completed = asyncio.Event()
        self._nothing_completed.set()
        self._moving = asyncio.Lock()
        self.together: bool | None = None
        """Both fit. None: not known before both were wanted."""
        self.completing = Seat(completing, self._completion)
        self.answering = Seat(answering, self.question)

    @contextlib.asynccontextmanager
    async def question(self) -> AsyncIterator[None]:
        """The answering model has its place in memory until the end of the block, even before it is loaded."""
        if not self._questions:
            await self._make_room_to_answer()
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1

    async def has_room_to_answer(self) -> bool:
        """Whether the answering model is in memory, or can be without the other's leaving."""
        return await self._has_room(self._answering, self._completing)

    def status(self) -> dict[str, object]:
        """`together`: both are in memory at once. None: that was not asked yet."""
        return {"together": self.together, **self._answering.backend.status()}

    @contextlib.asynccontextmanager
    async def _completion(self) -> AsyncIterator[None]:
        """The same for the completing model."""
        self._last_completion = self._clock()
        if not self._completions:
            await self._make_room_to_complete()
        self._completions += 1
        self._nothing_completed.clear()
        try:
            yield
        finally:
            self._last_completion = self._clock()
            self._completions -= 1
            if not self._completions:
                self._nothing_completed.set()

    async def _make_room_to_answer(self) -> None:
        async with self._moving:
            if self._questions or await self.has_room_to_answer():
                return
            await self._quiet_time()
            _log.info("the answering model takes the completing one's place")
            await self._completing.leave("a question is answered by another model, and both do not fit")

    async def _make_room_to_complete(self) -> None:
        if self._completing.loaded:
            return
        if self._questions or self._moving.locked():
            if await self._has_room(self._completing, self._answering):
                return
            raise ModelLoading(
                "the memory holds the model that answers a question",
                hint="Completions go on when it is answered: both models do not fit at once.",
            )
        async with self._moving:
            if not await self._has_room(self._completing, self._answering):
                _log.info("the completing model has its place back")
                await self._answering.leave("completions need their model, and both do not fit")

    async def _has_room(self, own: Home, other: Home) -> bool:
        """Whether `own` is loaded, or can be without the other's leaving."""
        if own.loaded or not other.loaded:
            return True
        self.together = await own.fits_beside(other)
        return self.together

    async def _quiet_time(self) -> None:
        """Until nothing has been completed for a while."""
        while True:
            await self._nothing_completed.wait()
            left = self._last_completion + self._quiet - self._clock()
            if left <= 0:
                return
            await self._sleep(left)
