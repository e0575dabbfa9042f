"""A model behind an OpenAI-compatible API: one streamed chat completion at a time, and what it cost.

The key is read from the environment when a request is sent, and is never kept, logged or shown. This module
does not know whether a request may leave the machine: that was decided before it came here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ingle_daemon.config import ApiSettings
from ingle_daemon.errors import ApiFailed, UsageError
from ingle_daemon.protocol import ChatMessage, Delta, Done, Started, StopReason, Usage

if TYPE_CHECKING:
    import httpx2

__all__ = ["ApiModel"]

_REASONS: dict[str, StopReason] = {"length": "limit"}  # every other way to finish is the answer's own end
_LONGEST_SAYING = 300
_LONGEST_ERROR_BODY = 64 * 1024
_HINTS = {
    400: "Check `[api] model` and the length of the question.",
    401: "Check the key in the environment variable that `[api] key_env` names.",
    402: "The account with the provider has no credit left.",
    403: "The key may not use this model: check `[api] model` and the provider's account.",
    404: "Check `[api] url` (as far as /v1) and `[api] model`.",
    413: "The question is too large for the provider.",
    429: "The provider limits the rate: wait a little, then ask again.",
}


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class _Piece(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Piece = msgspec.field(default_factory=_Piece)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """One event of the stream; what is not named here is passed over."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None


class ApiModel:
    """The API model of the settings."""

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._provider = _host(settings.url)

    @property
    def name(self) -> str:
        return self._settings.model

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int | None,
        temperature: float | None,
        schema: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Started | Delta | Done, None]:
        """Started when the provider accepts, any number of Delta, then Done. Closing it hangs up.

        The prompt is not counted here: Started says 0. Raises ApiFailed, also after some Delta; UsageError
        when the key is missing or the URL is none.
        """
        headers = self._headers()
        await asyncio.to_thread(importlib.import_module, "httpx2")  # 0.2 s, not on the event loop
        import httpx2

        url = f"{self._settings.url.rstrip('/')}/chat/completions"
        body = self._body(messages, max_tokens, temperature)
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        try:
            async with (
                httpx2.AsyncClient(timeout=self._settings.timeout) as client,
                client.stream("POST", url, json=body, headers=headers) as response,
            ):
                await self._check(response)
                yield Started(0, self._settings.context)
                async with contextlib.aclosing(self._events(response)) as events:
                    async for event in events:
                        yield event
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
            raise UsageError(f"`[api] url` is not an HTTP address: {exc}", hint="Correct it.") from exc
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc

    def _headers(self) -> dict[str, str]:
        variable = self._settings.key_env
        if not variable:
            return {}
        key = os.environ.get(variable, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise UsageError(
                f"the environment variable {variable} holds no key for {self._provider}",
                hint=f"Export {variable} where ingled starts, then run `ingle stop` so that it starts anew.",
            )
        return {"Authorization": f"Bearer {key}"}

    def _body(
        self, messages: Sequence[ChatMessage], max_tokens: int | None, temperature: float | None
    ) -> dict[str, object]:
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
        return body

    async def _check(self, response: httpx2.Response) -> None:
        """Refuse everything but a stream of events."""
        status = response.status_code
        if status != 200:
            saying = "" if status in (401, 403) else await self._saying(response)  # there, some repeat the key
            hint = _HINTS.get(status, "Check `[api] url`." if status < 500 else "Try again later.")
            raise ApiFailed(
                f"{self._provider} answered HTTP {status}{saying}",
                hint=hint,
                status=status,
                retry_after=response.headers.get("retry-after", ""),
            )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise ApiFailed(
                f"{self._provider} answered with {kind or 'no content type'} instead of a stream of events",
                hint="Check `[api] url`: it must be an OpenAI-compatible API, as far as /v1.",
                status=status,
            )

    async def _events(self, response: httpx2.Response) -> AsyncGenerator[Delta | Done, None]:
        import httpx2

        reason: str | None = None
        usage: _Usage | None = None
        async for event in httpx2.EventSource(response):
            if event.data == "[DONE]":
                break
            if not event.data:
                continue
            chunk = self._chunk(event.data)
            usage = chunk.usage or usage
            for choice in chunk.choices[:1]:
                reason = choice.finish_reason or reason
                if choice.delta.content:
                    yield Delta(choice.delta.content)
        if reason is None:
            raise self._cut_off()
        if reason == "content_filter":
            raise ApiFailed(f"the content filter of {self._provider} ended the answer", hint="Ask differently.")
        yield Done(_REASONS.get(reason, "end"), usage=self._usage(usage))

    def _chunk(self, data: str) -> _Chunk:
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except msgspec.DecodeError as exc:
            raise ApiFailed(
                f"{self._provider} sent something that is no chat completion: {exc}",
                hint="Check that `[api] url` is an OpenAI-compatible API.",
            ) from exc
        if chunk.error:
            raise ApiFailed(
                f"{self._provider} failed while it answered{self._quote({'error': chunk.error})}",
                hint="Ask again, or choose another `[api] model`.",
            )
        return chunk

    def _usage(self, usage: _Usage | None) -> Usage | None:
        if usage is None:
            return None
        return Usage(usage.prompt_tokens, usage.completion_tokens, self._cost(usage))

    def _cost(self, usage: _Usage) -> float | None:
        """What the provider says it cost; otherwise tokens times the prices of the settings."""
        price_in, price_out = self._settings.price_in, self._settings.price_out
        if usage.cost is not None:
            return usage.cost
        if price_in is None or price_out is None:
            return None
        return (usage.prompt_tokens * price_in + usage.completion_tokens * price_out) / 1e6

    def _unreachable(self, error: httpx2.HTTPError) -> ApiFailed:
        import httpx2

        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return ApiFailed(f"cannot reach {self._provider}: {error}", hint="Check the network and `[api] url`.")
        if isinstance(error, httpx2.TimeoutException):
            return ApiFailed(
                f"{self._provider} sent nothing for {self._settings.timeout:g} seconds",
                hint="Ask again, or raise `[api] timeout`.",
            )
        return self._cut_off()

    def _cut_off(self) -> ApiFailed:
        return ApiFailed(
            f"the connection to {self._provider} broke off before the answer was complete", hint="Ask again."
        )

    async def _saying(self, response: httpx2.Response) -> str:
        """What the body of an error answer says, if it says anything."""
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LONGEST_ERROR_BODY:
                break
        try:
            return self._quote(json.loads(body))
        except ValueError:
            return ""

    def _quote(self, answer: object) -> str:
        """The message in a provider's `{"error": …}`, made safe to show behind our own words."""
        error = answer.get("error") if isinstance(answer, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        if not isinstance(message, str):
            return ""
        if key := os.environ.get(self._settings.key_env, "").strip():
            message = message.replace(key, "…")
        return ": " + "".join(filter(str.isprintable, " ".join(message.split())))[:_LONGEST_SAYING]


def _host(url: str) -> str:
    """What to call the provider: the host alone, since a URL may hold a password."""
    try:
        return urlsplit(url).hostname or "the API"
    except ValueError:
        return "the API"
