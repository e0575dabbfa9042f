"""One backend in front of another: what the first cannot be reached for, the second answers, and says so in its status.

Only a request that has streamed nothing is asked again elsewhere. It knows neither of the two.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import EngineLost
from ingle_daemon.protocol import Delta, Done, Fit, GenerateRequest, ModelInfo, Prompt, Started

__all__ = ["Fallback"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_AWAY_S = 10.0
"""After the first could not be reached it is left alone for so long: a keystroke is not to wait for a dead network."""


class Fallback(Backend):
    """`first` while it answers and `may` be asked, `second` while not."""

    def __init__(
        self,
        first: Backend,
        second: Backend,
        clock: Callable[[], float] = time.monotonic,
        *,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._first = first
        self._second = second
        self._clock = clock
        self._may = may
        self._away_until = 0.0

    async def start(self) -> None:
        """The second is started by its first request: its memory is only taken where it is needed."""
        await self._first.start()

    async def stop(self) -> None:
        await self._first.stop()
        await self._second.stop()

    async def info(self) -> ModelInfo:
        return await self._either(lambda backend: backend.info())

    def status(self) -> dict[str, object]:
        if self._here:
            return {**self._second.status(), "instead_of": self._first.status()}
        return self._first.status()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        told: Started | Delta | Done | None = None
        if not self._here:
            try:
                async with aclosing(self._first.generate(request)) as events:
                    async for told in events:
                        yield told
            except EngineLost:
                if isinstance(told, Delta):
                    raise  # an answer cannot be unsaid
                self._leave()
        if isinstance(told, (Delta, Done)):
            return
        async with aclosing(self._second.generate(request)) as events:
            async for event in events:
                if not (told and isinstance(event, Started)):  # the client has been told that already
                    yield event

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        return await self._either(lambda backend: backend.fit(prompt, reserved))

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return await self._either(lambda backend: backend.tokenize(text, special=special))

    async def render(self, prompt: Prompt) -> str:
        return await self._either(lambda backend: backend.render(prompt))

    async def detokenize(self, tokens: list[int]) -> str:
        return await self._either(lambda backend: backend.detokenize(tokens))

    @property
    def _here(self) -> bool:
        """The first was away a moment ago, or may not be asked."""
        return self._clock() < self._away_until or not self._may()

    async def _either(self, ask: Callable[[Backend], Awaitable[_T]]) -> _T:
        if not self._here:
            try:
                return await ask(self._first)
            except EngineLost:
                self._leave()
        return await ask(self._second)

    def _leave(self) -> None:
        _log.warning("the engine at [engine] url cannot be reached: the local one answers")
        self._away_until = self._clock() + _AWAY_S
