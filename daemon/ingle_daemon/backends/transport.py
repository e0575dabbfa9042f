"""One HTTP request to an OpenAI-compatible API, and the stream that answers it: what went wrong has a name.

Nothing is tried twice here, nothing is decided: `remote.py` does that. The key passes through in a header and stands
in no error. A provider may do anything; what it sends is read up to limits, and quoted without its control characters.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import json
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ingle_daemon.backends.proxy import HINT, Tunnel, on_this_machine
from ingle_daemon.errors import ApiCutOff, ApiFailed, ApiRefused, ApiUnreachable, CaptivePortal, UsageError
from ingle_daemon.protocol import Delta, Done, StopReason, Thinking, Usage

if TYPE_CHECKING:
    import httpx2

__all__ = ["Answer", "Call", "fetch", "host_of", "stream"]

Answer = Delta | Thinking | Done

_CONNECT_S = 5.0
"""To find the host and shake hands. A machine that cannot do that in so long is as good as offline."""
_LONGEST_S = 900.0
"""For a whole answer: comments that keep a connection alive would otherwise keep it for ever."""
_LONGEST_EVENT = 1024 * 1024
_LONGEST_ERROR_BODY = 64 * 1024
_LONGEST_LIST = 32 * 1024 * 1024
_LONGEST_SAYING = 300
_REASONS: dict[str, StopReason] = {"length": "limit"}  # every other way to finish is the answer's own end
_HINTS = {
    400: "Check `[api] model` and the length of the question.",
    401: "Check the key: `[api] key`, `key_env` or `key_command` says where it is.",
    402: "The account with the provider has no credit left.",
    403: "The key may not use this model: check `[api] model` and the provider's account.",
    404: "Check `[api] url` (as far as /v1) and `[api] model`.",
    413: "The question is too large for the provider.",
    407: "The proxy wants a login: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT, where ingled is started.",
    429: "The provider limits the rate: wait a little, then ask again.",
}
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)


class Call(msgspec.Struct, frozen=True):
    """One request. `limit`: bytes of answer after which a stream counts as endless."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout: float
    limit: int

    @property
    def host(self) -> str:
        return host_of(self.url)


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class _Piece(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Piece = msgspec.field(default_factory=_Piece)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    """One event of the stream; what is not named here is passed over."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None


def host_of(url: str) -> str:
    """What to call the provider: the host, and its port if it names one. A URL may hold a password as well."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the API"
    return f"{parts.hostname}:{port}" if port else parts.hostname or "the API"


async def stream(call: Call) -> AsyncGenerator[Answer, None]:
    """The answer's pieces and its end. Closing it hangs up.

    Raises ApiUnreachable when nothing was sent, ApiRefused for an error status, CaptivePortal for a web page,
    ApiCutOff when it stops before its end, ApiFailed for anything else that is no answer, UsageError for a URL that is
    none.
    """
    async with _posted(call) as response:
        await _check(call, response)
        async with contextlib.aclosing(_events(call, response)) as events:
            async for event in events:
                yield event


@contextlib.asynccontextmanager
async def _posted(call: Call) -> AsyncGenerator[httpx2.Response, None]:
    httpx2 = await _library()
    tunnel = Tunnel(call.url, connect=min(call.timeout, _CONNECT_S), read=call.timeout)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream", **call.headers}
    sent = {"content": call.body, "headers": headers, "extensions": tunnel.extensions}
    try:
        async with _client(call.url) as client, client.stream("POST", call.url, **sent) as response:
            yield response
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
        raise _no_url(exc) from exc
    except httpx2.HTTPError as exc:
        raise _failure(exc, call.host, call.timeout, tunnel) from exc


def _client(url: str) -> httpx2.AsyncClient:
    """A client that takes proxies from the environment, but for what this machine serves itself."""
    import httpx2

    return httpx2.AsyncClient(trust_env=not on_this_machine(url))


async def fetch(url: str, headers: Mapping[str, str]) -> bytes:
    """The body at `url`. Raises as `stream` does."""
    httpx2 = await _library()
    host = host_of(url)
    tunnel = Tunnel(url, connect=_CONNECT_S, read=_CONNECT_S)
    body = b""
    try:
        async with (
            _client(url) as client,
            client.stream("GET", url, headers=headers, extensions=tunnel.extensions) as response,
        ):
            if response.status_code != 200:
                raise ApiRefused(f"{host} answered HTTP {response.status_code}", status=response.status_code)
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LONGEST_LIST:
                    raise ApiFailed(f"{host} sent more than {_LONGEST_LIST >> 20} MiB")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
        raise _no_url(exc) from exc
    except httpx2.HTTPError as exc:
        raise _failure(exc, host, _CONNECT_S, tunnel) from exc
    return body


async def _library() -> Any:
    return await asyncio.to_thread(importlib.import_module, "httpx2")  # 0.2 s, not on the event loop


async def _check(call: Call, response: httpx2.Response) -> None:
    """Refuse everything but a stream of events."""
    status = response.status_code
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if 300 <= status < 400 or status == 511 or (status == 200 and kind == "text/html"):
        raise CaptivePortal(
            f"{call.host} answered with {'a redirection' if 300 <= status < 400 else 'a web page'} (HTTP {status})",
            hint="On a train, in a hotel: log in to the network first. Otherwise check `[api] url`, as far as /v1.",
            status=status,
        )
    if status != 200:
        saying = "" if status in (401, 403) else await _saying(call, response)  # there, some repeat the key
        raise ApiRefused(
            f"{call.host} answered HTTP {status}{saying}",
            hint=_HINTS.get(status, "Check `[api] url`." if status < 500 else "Try again later."),
            status=status,
            retry_after=response.headers.get("retry-after", ""),
        )
    if kind != "text/event-stream":
        raise ApiFailed(
            f"{call.host} answered with {kind or 'no content type'} instead of a stream of events",
            hint="Check `[api] url`: it must be an OpenAI-compatible API, as far as /v1.",
            status=status,
        )


async def _events(call: Call, response: httpx2.Response) -> AsyncGenerator[Answer, None]:
    reason: str | None = None
    usage: _Usage | None = None
    received = 0
    async for data in _data(call, response):
        chunk = _chunk(call, data)
        usage = chunk.usage or usage
        for choice in chunk.choices[:1]:
            reason = choice.finish_reason or reason
            for piece in _pieces(choice.delta):
                received += len(piece.text.encode(errors="replace"))
                yield piece
        if received > call.limit:
            raise ApiCutOff(f"{call.host} sends more than was asked for, without end", hint="Ask another model.")
    if reason is None:
        raise _cut_off(call.host)
    if reason == "content_filter":
        raise ApiCutOff(f"the content filter of {call.host} ended the answer", hint="Ask differently.")
    yield Done(_REASONS.get(reason, "end"), usage=_reported(usage))


async def _data(call: Call, response: httpx2.Response) -> AsyncGenerator[str, None]:
    """What stands in the events, up to the one that ends them. Comments keep a connection alive, but not for ever."""
    import httpx2

    source = httpx2.EventSource(response, max_event_size=_LONGEST_EVENT).__aiter__()
    end = time.monotonic() + _LONGEST_S
    try:
        while True:
            event = await asyncio.wait_for(source.__anext__(), end - time.monotonic())
            if event.data == "[DONE]":
                return
            if event.data:
                yield event.data
    except StopAsyncIteration:
        return
    except asyncio.TimeoutError as exc:
        raise ApiCutOff(f"{call.host} did not end its answer in {_LONGEST_S:g} s", hint="Ask for less.") from exc
    except httpx2.SSEError as exc:
        limit = _LONGEST_EVENT >> 20
        raise ApiCutOff(f"{call.host} sent an event of more than {limit} MiB", hint="Ask again.") from exc


def _pieces(delta: _Piece) -> list[Delta | Thinking]:
    thought = delta.reasoning or delta.reasoning_content
    return [*([Thinking(thought)] if thought else []), *([Delta(delta.content)] if delta.content else [])]


def _reported(usage: _Usage | None) -> Usage | None:
    return None if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens, usage.cost)


def _chunk(call: Call, data: str) -> _Chunk:
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise ApiFailed(
            f"{call.host} sent something that is no chat completion: {exc}",
            hint="Check that `[api] url` is an OpenAI-compatible API.",
        ) from exc
    if chunk.error:
        raise ApiCutOff(
            f"{call.host} failed while it answered{_quote(call, {'error': chunk.error})}",
            hint="Ask again, or choose another `[api] model`.",
        )
    return chunk


def _failure(error: httpx2.HTTPError, host: str, timeout: float, tunnel: Tunnel) -> ApiFailed:
    import httpx2

    if not tunnel.stands or (tunnel.proxy and isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)):
        said = "it did not answer" if isinstance(error, httpx2.TimeoutException) else str(error) or type(error).__name__
        return ApiUnreachable(f"the proxy {tunnel.proxy} is no way to {host}: {said}", hint=HINT)
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        hint = "Check the network and `[api] url`."
        if "CERTIFICATE" in str(error).upper():
            hint = "Something between here and there answers in its name: a network to log in to first, or a proxy."
        return ApiUnreachable(
            f"cannot reach {host}: {error or type(error).__name__}", hint=hint, offline=_is_offline(error)
        )
    if isinstance(error, httpx2.TimeoutException):
        return ApiCutOff(f"{host} sent nothing for {timeout:g} seconds", hint="Ask again, or raise `[api] timeout`.")
    return _cut_off(host)


def _is_offline(error: BaseException | None) -> bool:
    """Whether the machine has no way there at all: trying again at once would not help."""
    while error is not None:
        if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _NO_NETWORK):
            return True
        error = error.__cause__ or error.__context__
    return False


def _no_url(error: Exception) -> UsageError:
    return UsageError(f"`[api] url` is not an HTTP address: {error}", hint="Correct it.")


def _cut_off(host: str) -> ApiCutOff:
    return ApiCutOff(f"the connection to {host} broke off before the answer was complete", hint="Ask again.")


async def _saying(call: Call, response: httpx2.Response) -> str:
    """What the body of an error answer says, if it says anything."""
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _LONGEST_ERROR_BODY:
            break
    try:
        return _quote(call, json.loads(body))
    except (ValueError, RecursionError):
        return ""


def _quote(call: Call, answer: object) -> str:
    """The message in a provider's `{"error": …}`, made safe to show behind our own words."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str):
        return ""
    for value in call.headers.values():
        message = message.replace(value.removeprefix("Bearer "), "…")
    return ": " + "".join(filter(str.isprintable, " ".join(message.split())))[:_LONGEST_SAYING]
