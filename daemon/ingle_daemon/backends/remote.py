"""A model behind an OpenAI-compatible API: its requests as bytes, sent with patience, and its limits and prices.

This module does not know whether a request may leave the machine: that was decided before it came here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from ingle_daemon.backends import transport
from ingle_daemon.backends.keys import Pocket
from ingle_daemon.backends.price_list import Listed
from ingle_daemon.backends.retry import Breaker, pause_before_retry
from ingle_daemon.config import ProviderSettings
from ingle_daemon.errors import ApiCutOff, ApiFailed, ApiRefused, ApiUnreachable
from ingle_daemon.protocol import ChatMessage

__all__ = ["ApiModel"]

_USUAL_CONTEXT = 128_000
_BYTES_PER_TOKEN = 128
"""More than any token has: an answer beyond that is more than was asked for."""


class ApiModel:
    """One model of one provider, as the settings have it. Requests to it share one breaker."""

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._pause = pause
        self._breaker = Breaker(clock)
        self.host = transport.host_of(settings.url)

    @property
    def name(self) -> str:
        return self._settings.model

    @property
    def settings(self) -> ProviderSettings:
        return self._settings

    @property
    def url(self) -> str:
        """Where questions are sent."""
        return f"{self._settings.url.rstrip('/')}/chat/completions"

    @property
    def down(self) -> str:
        """Why nothing is sent there now; "" when something may be."""
        wait = self._breaker.wait
        return f"{self.host} failed several times in a row; it is tried again in {wait:.0f} s" if wait else ""

    @property
    def settled(self) -> bool:
        """Whether the settings say all that a provider's list of models might."""
        return None not in (self._settings.context, self._settings.price_in, self._settings.price_out)

    def context(self, listed: Listed) -> int:
        """Tokens that its context holds."""
        return self._settings.context or listed.context or _USUAL_CONTEXT

    def longest(self, wanted: int | None, listed: Listed) -> int | None:
        """The longest answer that is asked for: what the question wants, else the settings, within its own limit."""
        chosen = wanted or self._settings.max_tokens
        return min(chosen, listed.max_tokens) if chosen and listed.max_tokens else chosen

    def prices(self, listed: Listed) -> tuple[float, float] | None:
        """US dollars a million tokens of prompt and of answer: the settings' word before the list's."""
        mine, theirs = (self._settings.price_in, self._settings.price_out), (listed.price_in, listed.price_out)
        per_prompt, per_answer = (a if a is not None else b for a, b in zip(mine, theirs, strict=True))
        return None if per_prompt is None or per_answer is None else (per_prompt, per_answer)

    def body(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int | None,
        temperature: float | None,
        schema: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The request, to the byte."""
        body: dict[str, object] = {
            "model": self._settings.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        if temperature is not None:
            body["temperature"] = temperature
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        return msgspec.json.encode(body)

    async def key(self, pocket: Pocket) -> str:
        """What it wants to see before it answers. Raises UsageError when it is missing."""
        return await pocket.key(self._settings, self.host)

    async def send(self, body: bytes, key: str, *, max_tokens: int) -> AsyncGenerator[transport.Answer, None]:
        """The answer's pieces, then Done. Closing it hangs up.

        What failed before it cost anything is tried again, with pauses; what streamed is never asked for twice. Raises
        as `transport.stream` does.
        """
        if self.down:
            raise ApiUnreachable(self.down, hint="Ask with --local meanwhile.", open=True)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        call = transport.Call(self.url, body, headers, self._settings.timeout, max_tokens * _BYTES_PER_TOKEN)
        attempt = 1
        while True:
            answered = False
            try:
                async with contextlib.aclosing(transport.stream(call)) as events:
                    async for event in events:
                        answered = True
                        yield event
            except ApiFailed as error:
                self._count(error)
                pause = None if answered else pause_before_retry(error, attempt, time.time(), random.random())  # noqa: S311
                if pause is None:
                    raise
                await self._pause(pause)
                attempt += 1
            else:
                self._breaker.succeeded()
                return

    def _count(self, error: ApiFailed) -> None:
        """Whether this tells that the provider is down. One that refuses a bad key or question is well."""
        status = error.details.get("status")
        if isinstance(error, ApiRefused) and isinstance(status, int) and status < 500:
            self._breaker.succeeded()
        elif isinstance(error, ApiUnreachable | ApiRefused | ApiCutOff):
            self._breaker.failed()
