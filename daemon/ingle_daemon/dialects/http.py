"""What the dialects share: bodies in, errors and streams out, and noticing that a client has gone.

It knows HTTP and `IngleError`, not what any request means. A client that goes away cancels what is done for it,
whatever the phase: every piece of work here runs beside a watch on its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingle_daemon.errors import DoesNotFit, IngleError, Interrupted, UsageError
from ingle_daemon.protocol import Failed

__all__ = ["answer", "error_response", "json_response", "ndjson", "number", "read_body", "stream", "while_connected"]

_T = TypeVar("_T")
_MOST_DIGITS = 5
"""More days, or more entries, than anybody has."""


async def read_body(request: Request, kind: type[_T], limit: int) -> _T:
    """The JSON body as a `kind`.

    Raises UsageError when it is not one, DoesNotFit when it is over `limit` bytes, Interrupted when the client goes
    away before its end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(int(declared), limit)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(len(body), limit)
    except ClientDisconnect as exc:
        raise Interrupted("the client went away") from exc
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise UsageError(f"the request body is not what {request.scope['path']} takes: {exc}") from exc


def number(request: Request, name: str, default: int) -> int:
    """A number from the query. Raises UsageError when it is none, or larger than any that means something."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise UsageError(f"{name} is {text[:20]!r}", hint=f"It is a number of at most {_MOST_DIGITS} digits.")
    return int(text)


def _too_large(size: int, limit: int) -> DoesNotFit:
    return DoesNotFit(
        f"the request has {size:,} bytes, ingled takes {limit:,}",
        hint="Shorten it, or raise [server] max_body_bytes.",
        n_bytes=size,
        limit_bytes=limit,
    )


def json_response(value: object, status: int = 200) -> Response:
    """`value` (a protocol value or plain JSON) as an answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def error_response(error: IngleError) -> Response:
    return json_response({"error": error.to_wire()}, error.http_status)


async def while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of `work`; raises Interrupted, with `work` cancelled, when the client goes away first."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Interrupted("the client went away")
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(request: Request, work: Coroutine[Any, Any, object]) -> Response:
    """One JSON value, unless the client goes away first."""
    return json_response(await while_connected(request, work))


async def stream(
    request: Request,
    events: AsyncGenerator[_T, None],
    encode: Callable[[_T], bytes],
    *,
    media_type: str,
    last: bytes = b"",
    on_error: Callable[[IngleError], bytes],
) -> Response:
    """`events`, each as the bytes `encode` makes of it, then `last`.

    An error before the first event becomes a plain error answer with its status; one after it is sent as `on_error`'s
    bytes, because the status line has left.
    """
    try:
        first = await while_connected(request, _first(events))
    except BaseException:
        await events.aclose()
        raise
    return _Stream(request, _encoded(first, events, encode, last, on_error), media_type)


async def ndjson(request: Request, events: AsyncGenerator[Any, None]) -> Response:
    """`events` as ingle's own streams are: one JSON value a line, an error as a `Failed`."""
    return await stream(request, events, _line, media_type="application/x-ndjson", on_error=_failed)


def _line(event: object) -> bytes:
    return msgspec.json.encode(event) + b"\n"


def _failed(error: IngleError) -> bytes:
    return _line(Failed(error.to_wire()))


async def _first(events: AsyncIterator[_T]) -> _T:
    return await events.__anext__()


async def _encoded(
    first: _T,
    events: AsyncGenerator[_T, None],
    encode: Callable[[_T], bytes],
    last: bytes,
    on_error: Callable[[IngleError], bytes],
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(events):
        try:
            if piece := encode(first):
                yield piece
            async for event in events:
                if piece := encode(event):
                    yield piece
            yield last
        except IngleError as exc:
            yield on_error(exc)


class _Stream(Response):
    """Chunks as they come, for as long as the client listens."""

    def __init__(self, request: Request, chunks: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(None, 200, media_type=media_type, headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._request = request
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(Interrupted, OSError):
            await while_connected(self._request, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._chunks):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for chunk in self._chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
