"""An HTTP proxy on loopback: it lets through, forwards, refuses or keeps silent. Every name leads to one place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

__all__ = ["Proxy"]

Manner = Literal["through", "refuse", "silent"]


class Proxy:
    """Whatever it is asked for, it connects to `port` on loopback. `lines` are the first lines of what it was asked."""

    def __init__(self, port: int, manner: Manner = "through", refusal: str = "403 Forbidden") -> None:
        self._target = port
        self._manner = manner
        self._refusal = refusal
        self.lines: list[str] = []
        self.heads: list[bytes] = []
        self.port = 0
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        line = head.partition(b"\r\n")[0].decode()
        self.lines.append(line)
        with contextlib.closing(writer):
            if self._manner == "silent":
                await reader.read()
            elif self._manner == "refuse":
                writer.write(f"HTTP/1.1 {self._refusal}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            else:
                await self._join(line, head, reader, writer)

    async def _join(self, line: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with contextlib.closing(far_writer):
            if line.startswith("CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:  # absolute form: as it came, but for the place
                method, url, version = line.split(" ")
                path = "/" + url.split("/", 3)[3]
                far_writer.write(f"{method} {path} {version}\r\n".encode() + head.partition(b"\r\n")[2])
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
