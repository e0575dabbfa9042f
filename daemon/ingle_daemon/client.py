"""The client side of the daemon's socket: plain calls, and streams of events. `launch.py` finds or starts the daemon.

Standard library only, and little of that: `ask` has its request on the wire 50 ms after the process began, and every
import here counts against it (`http.client` alone costs a third of that). Requests go out as HTTP/1.0, so that an
answer is a head and then bytes until the end; nothing needs to be unchunked. A stream is one JSON value a line.

This module knows the transport, not what the values mean: they come back as plain JSON. Closing a stream cancels
what the daemon does for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket

from ingle_daemon import PROTOCOL, __version__, paths
from ingle_daemon.errors import DaemonUnreachable, IngleError, from_wire
from ingle_daemon.launch import connect, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Iterator
    from types import TracebackType
    from typing import Any

__all__ = ["Stream", "acall", "astream", "call", "connect", "environment", "stream"]

_ENDS = ("done", "failed", "pulled", "verified")  # the event types that end a stream
_HEAD_LIMIT = 64 * 1024
_SILENCE_S = 5.0
"""Seconds without a word in a stream after which the daemon is asked whether it is there."""
_LOOK_S = 10.0
"""Seconds that it has to say so."""


# --- plain calls and streams ---------------------------------------------------------------------------------------


def call(
    method: str, path: str, payload: object = None, *, autostart: bool = True, patience: float | None = None
) -> Any:
    """One request, one JSON answer. Raises the IngleError that the daemon answered with.

    `patience`: seconds without a word from it after which it counts as unreachable. Without one it may take as long as
    it needs, for as long as it answers others: see `Stream`.
    """
    on_silence = _look if patience is None else _give_up
    with (
        _answering(),
        _send(
            method, path, payload, autostart=autostart, patience=patience or _SILENCE_S, on_silence=on_silence
        ) as sock,
        io.BufferedReader(_Patient(sock, on_silence)) as reader,
    ):
        status = _status_of(reader.readline(_HEAD_LIMIT))
        while reader.readline(_HEAD_LIMIT).strip():
            pass
        return _json_answer(status, _rest(reader))


class Stream:
    """The events of one streamed answer. The request is on the wire once this exists. Closed early, it cancels.

    Iterating yields JSON objects, up to and with the one that ends the answer. Raises the IngleError that a
    "failed" event or an error status carries, and DaemonUnreachable when the daemon dies in the middle. A model may
    think for long: after some seconds of silence the daemon is asked whether it is there, and it counts as
    unreachable only when it does not answer that.
    """

    def __init__(self, path: str, payload: object, *, autostart: bool = True) -> None:
        self._socket = _send("POST", path, payload, autostart=autostart, patience=_SILENCE_S, on_silence=_look)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._socket, _answering(), io.BufferedReader(_Patient(self._socket, _look)) as reader:
            status = _status_of(reader.readline(_HEAD_LIMIT))
            while reader.readline(_HEAD_LIMIT).strip():
                pass
            if status != 200:
                _json_answer(status, _rest(reader))
            for line in reader:
                yield (event := _event(line))
                if event["type"] in _ENDS:
                    return
        raise _cut_off()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the daemon may have hung up first
            self._socket.shutdown(socket.SHUT_RDWR)  # an iterator still holds the connection open otherwise
        self._socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Patient(io.RawIOBase):
    """What comes over a socket that has a time limit; when that is over, `on_silence` may raise."""

    def __init__(self, sock: socket.socket, on_silence: Callable[[socket.socket], None]) -> None:
        self._socket = sock
        self._on_silence = on_silence

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            with contextlib.suppress(TimeoutError):
                return self._socket.recv_into(buffer)
            self._on_silence(self._socket)


def _look(sock: socket.socket) -> None:
    """Raises DaemonUnreachable when the daemon at the other end of `sock` does not answer others either."""
    with _answering(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_LOOK_S)
        try:
            probe.connect(sock.getpeername())
        except FileNotFoundError:
            return  # it is ending, and finishes what it has begun
        except BlockingIOError as exc:
            raise TimeoutError from exc  # so many wait already that no more may
        probe.sendall(_request("GET", "/ingle/status", None))
        if not probe.recv(1):
            raise _cut_off()


def _give_up(_: socket.socket) -> None:
    raise TimeoutError


def stream(path: str, payload: object, *, autostart: bool = True) -> Stream:
    """POST `payload` and return the stream of its events."""
    return Stream(path, payload, autostart=autostart)


# --- the same for asyncio ------------------------------------------------------------------------------------------


async def acall(method: str, path: str, payload: object = None, *, autostart: bool = True) -> Any:
    """`call` for asyncio. Cancelling the task closes the connection, which cancels the request."""
    reader, writer = await _asend(method, path, payload, autostart=autostart)
    try:
        with _answering():
            status = await _askip_head(reader)
            return _json_answer(status, await _arest(reader))
    finally:
        writer.close()


async def astream(path: str, payload: object, *, autostart: bool = True) -> AsyncGenerator[dict[str, Any], None]:
    """`stream` for asyncio, as an async generator: close it (or cancel the task) to cancel the request."""
    reader, writer = await _asend("POST", path, payload, autostart=autostart)
    try:
        with _answering():
            status = await _askip_head(reader)
            if status != 200:
                _json_answer(status, await _arest(reader))
            while line := await reader.readline():
                yield (event := _event(line))
                if event["type"] in _ENDS:
                    return
        raise _cut_off()
    finally:
        writer.close()


async def _asend(
    method: str, path: str, payload: object, *, autostart: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    import asyncio  # `ask` never comes here, and this import costs three times its budget

    sock = await asyncio.to_thread(connect, autostart=autostart)
    try:
        sock.setblocking(False)
        with contextlib.suppress(ConnectionError):  # as in `_send`
            await asyncio.get_running_loop().sock_sendall(sock, _request(method, path, payload))
        return await asyncio.open_unix_connection(sock=sock, limit=16 * 1024 * 1024)
    except BaseException:
        sock.close()
        raise


async def _askip_head(reader: asyncio.StreamReader) -> int:
    status = _status_of(await reader.readline())
    while (await reader.readline()).strip():
        pass
    return status


async def _arest(reader: asyncio.StreamReader) -> bytes:
    """`_rest` for asyncio."""
    body = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := await reader.read(_HEAD_LIMIT):
            body += chunk
    return bytes(body)


# --- HTTP, as little as it takes -----------------------------------------------------------------------------------


def _send(
    method: str,
    path: str,
    payload: object,
    *,
    autostart: bool,
    patience: float | None = None,
    on_silence: Callable[[socket.socket], None] = _give_up,
) -> socket.socket:
    """A connection with the request on it. `on_silence` may raise when nothing could be sent for `patience` seconds."""
    sock = connect(autostart=autostart)
    sock.settimeout(patience)
    rest = memoryview(_request(method, path, payload))
    try:
        with contextlib.suppress(ConnectionError):  # refused before it was read to the end: the answer says why
            while rest:
                with contextlib.suppress(TimeoutError):
                    rest = rest[sock.send(rest) :]
                    continue
                on_silence(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _request(method: str, path: str, payload: object) -> bytes:
    body = b"" if payload is None else json.dumps(payload).encode()
    head = (
        f"{method} {path} HTTP/1.0\r\nHost: ingle\r\nIngle-Version: {__version__}\r\nIngle-Protocol: {PROTOCOL}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _status_of(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[1].isdigit():
        raise _cut_off()
    return int(parts[1])


def _rest(reader: io.BufferedReader[Any]) -> bytes:
    """What is left of an answer. A daemon that answers before it has read the whole request resets the connection."""
    body = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := reader.read1():
            body += chunk
    return bytes(body)


def _json_answer(status: int, body: bytes) -> Any:
    try:
        answer = json.loads(body) if body else None
    except ValueError:
        answer = None
    if status < 400:
        if answer is None:
            raise _cut_off()
        return answer
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        raise from_wire(answer["error"])
    raise IngleError(f"ingled answered HTTP {status}", hint=f"See {paths.log_file()}.")


def _event(line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        raise _cut_off() from None  # the line was not written to its end
    if event["type"] == "failed":
        raise from_wire(event["error"])
    return event


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """While the daemon is to read and answer: if it dies, the connection is reset."""
    try:
        yield
    except ConnectionError as exc:
        raise _cut_off() from exc
    except TimeoutError as exc:
        raise DaemonUnreachable(
            "ingled is there but does not answer",
            hint="It may be stopped (`kill -CONT` its process) or stuck (`kill -9` it: any `ask` starts another).",
        ) from exc


def _cut_off() -> DaemonUnreachable:
    return DaemonUnreachable(
        "ingled ended while it answered",
        hint=f"Ask again: it will be started anew. Its log: {paths.log_file()}",
    )
