"""An OpenAI-compatible provider on loopback that answers as told, and misbehaves as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

__all__ = ["Answer", "Provider", "http", "piece", "raw", "stream", "thought", "usage"]

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """An HTTP server that gives its answers in their order, and the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers
        self.bodies: list[bytes] = []
        self.models = http("404 Not Found", "application/json", b"{}")
        self.listed = 0
        self.head = b""
        self.body: dict[str, Any] = {}
        self.hung_up = asyncio.Event()
        self.port = 0
        self._talks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            # Whatever happened, the client has let go of every connection: otherwise this fails.
            await asyncio.wait_for(asyncio.gather(*self._talks), 5)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.append(task)
        self.head = await reader.readuntil(b"\r\n\r\n")
        if self.head.startswith(b"GET "):
            self.listed += 1
            await self.models(writer)
        else:
            await self._answer_question(reader, writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.hung_up.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer_question(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = next(line for line in self.head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        raw_body = await reader.readexactly(int(length.partition(b":")[2]))
        self.bodies.append(raw_body)
        self.body = json.loads(raw_body)
        await self._answers[min(len(self.bodies), len(self._answers)) - 1](writer)


def http(status: str, kind: str, body: bytes, *headers: str) -> Answer:
    """A complete answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + body)


def raw(content: bytes, *, then_close: bool = False) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        with contextlib.suppress(ConnectionError):  # a client that has had enough
            await writer.drain()
        if then_close:
            writer.close()

    return answer


def stream(*events: str, then_close: bool = True, newline: str = "\n") -> Answer:
    """A stream of events, chunked as real providers send one; it is complete if `then_close`."""
    body = "".join(f"{event}{newline}{newline}" for event in events).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i : i + 7] for i in range(0, len(body), 7)))
    return raw(head + chunks + (b"0\r\n\r\n" if then_close else b""))


def piece(text: str | None, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return "data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]}, ensure_ascii=False)


def thought(text: str) -> str:
    choice = {"index": 0, "delta": {"reasoning": text}, "finish_reason": None}
    return "data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice]})


def usage(**extra: float) -> str:
    counts = {"prompt_tokens": 1000, "completion_tokens": 500, **extra}
    return "data: " + json.dumps({"choices": [], "usage": counts})
