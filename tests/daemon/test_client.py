"""The client side against a toy server on a real socket: what it makes of answers, errors, and sudden ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingle_daemon import client, errors, launch, paths
from ingle_daemon.errors import DaemonUnreachable, DoesNotFit, IngleError, NoModel

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
DELTA = b'{"type":"delta","text":"hi"}\n'
DONE = b'{"type":"done","reason":"end"}\n'

Way = Callable[[str, object], Any]


class ToyDaemon:
    """Listens where the daemon would, answers each connection with `answer`, and then hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self.reads_all = True
        self.received: list[bytes] = []
        self.asked = threading.Event()
        self.client_left = threading.Event()
        self.waits_for_client = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(paths.socket_file()))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the socket's file stays, as after a kill."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with connection:
                self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        request = self._read(connection)
        if not request:
            return  # a client that only looked whether there is a daemon
        self.received.append(request)
        self.asked.set()
        connection.sendall(self.answer)
        if self.waits_for_client:
            with contextlib.suppress(ConnectionError):
                connection.recv(1)
            self.client_left.set()

    def _read(self, connection: socket.socket) -> bytes:
        """The head, and the body too unless this daemon is in a hurry."""
        raw = connection.recv(4096)
        if not raw:
            return b""
        head, _, body = raw.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while self.reads_all and len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def no_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directories of our own, in which no daemon runs. Their path is short: a socket's must be."""
    root = Path(tempfile.mkdtemp(prefix="ingle-t-"))
    for variable in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(root))
    yield root
    shutil.rmtree(root)


@pytest.fixture
def daemon(no_daemon: Path) -> Iterator[ToyDaemon]:
    paths.private_dir(paths.runtime_dir())
    made = ToyDaemon()
    yield made
    made.close()


def call(path: str, payload: object) -> Any:
    return client.call("POST", path, payload, autostart=False)


def acall(path: str, payload: object) -> Any:
    return asyncio.run(client.acall("POST", path, payload, autostart=False))


def stream(path: str, payload: object) -> list[dict[str, Any]]:
    return list(client.stream(path, payload, autostart=False))


def astream(path: str, payload: object) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in client.astream(path, payload, autostart=False)]

    return asyncio.run(collect())


calls = pytest.mark.parametrize("ask", [call, acall], ids=["call", "acall"])
streams = pytest.mark.parametrize("ask", [stream, astream], ids=["stream", "astream"])
every_way = pytest.mark.parametrize("ask", [call, acall, stream, astream], ids=["call", "acall", "stream", "astream"])


def refusal(error: IngleError) -> bytes:
    head = f"HTTP/1.1 {error.http_status} Refused\r\ncontent-type: application/json\r\n\r\n"
    return head.encode() + json.dumps({"error": error.to_wire()}).encode()


# --- what goes out, what comes back --------------------------------------------------------------------------------


@calls
def test_a_call_is_answered_with_json(daemon: ToyDaemon, ask: Way) -> None:
    daemon.answer = OK + '{"text": "é"}'.encode()
    assert ask("/ingle/x", {"a": [1]}) == {"text": "é"}
    (request,) = daemon.received
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /ingle/x HTTP/1.0\r\n"), "so that the answer needs no unchunking"
    assert json.loads(body) == {"a": [1]}


@calls
def test_an_answer_of_many_pieces_is_read_to_its_end(daemon: ToyDaemon, ask: Way) -> None:
    value = ["x" * 1000] * 1000
    daemon.answer = OK + json.dumps(value).encode()
    assert ask("/x", None) == value


@streams
def test_a_stream_yields_events_up_to_the_one_that_ends_it(daemon: ToyDaemon, ask: Way) -> None:
    daemon.answer = OK + DELTA + DONE + DELTA
    assert ask("/x", {}) == [{"type": "delta", "text": "hi"}, {"type": "done", "reason": "end"}]


@streams
def test_a_failed_event_is_raised_after_what_came_before(daemon: ToyDaemon, ask: Way) -> None:
    failed = {"type": "failed", "error": errors.EngineLost("it died", hint="again").to_wire()}
    daemon.answer = OK + DELTA + json.dumps(failed).encode() + b"\n"
    with pytest.raises(errors.EngineLost, match="it died") as lost:
        ask("/x", {})
    assert lost.value.hint == "again"


# --- errors --------------------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize(
    "error",
    [
        errors.UsageError("a"),
        NoModel("b", hint="pull one"),
        DoesNotFit("c", n_prompt_tokens=5),
        errors.RefusedByPrivacy("d"),
        IngleError("e"),
    ],
    ids=lambda error: error.code,
)
def test_an_error_answer_is_raised_as_what_it_was(daemon: ToyDaemon, ask: Way, error: IngleError) -> None:
    daemon.answer = refusal(error)
    with pytest.raises(IngleError) as raised:
        ask("/x", {})
    assert type(raised.value) is type(error)
    assert (raised.value.message, raised.value.hint, raised.value.details) == (
        error.message,
        error.hint,
        error.details,
    )


@every_way
@pytest.mark.parametrize("body", [b"", b"Internal Server Error", b"[]", b'{"error": "text"}'])
def test_an_error_answer_of_another_shape_names_the_status_and_the_log(
    daemon: ToyDaemon, ask: Way, body: bytes
) -> None:
    daemon.answer = b"HTTP/1.1 500 Oops\r\n\r\n" + body
    with pytest.raises(IngleError, match="HTTP 500") as raised:
        ask("/x", {})
    assert str(paths.log_file()) in raised.value.hint


@every_way
@pytest.mark.parametrize("size", [100, 150_000, 3_000_000])
def test_a_large_request_refused_before_it_was_read_gets_the_refusal(daemon: ToyDaemon, ask: Way, size: int) -> None:
    daemon.answer = refusal(DoesNotFit("the request is too large"))
    daemon.reads_all = False
    with pytest.raises(DoesNotFit):
        ask("/x", {"text": "x" * size})


# --- a daemon that ends in the middle ------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-ty", OK, OK + b'{"type":"del'],
    ids=["nothing", "half a status", "half a head", "a head", "half an answer"],
)
def test_an_answer_cut_off_says_that_the_daemon_ended(daemon: ToyDaemon, ask: Way, answer: bytes) -> None:
    daemon.answer = answer
    with pytest.raises(DaemonUnreachable, match="ended while it answered") as raised:
        ask("/x", {})
    assert str(paths.log_file()) in raised.value.hint


@every_way
def test_a_connection_that_is_reset_says_so_too(daemon: ToyDaemon, ask: Way) -> None:
    daemon.reads_all = False
    with pytest.raises(DaemonUnreachable, match="ended while it answered"):
        ask("/x", {"text": "x" * 150_000})


def test_a_stream_cut_off_has_yielded_what_came(daemon: ToyDaemon) -> None:
    daemon.answer = OK + DELTA
    events = iter(client.stream("/x", {}, autostart=False))
    assert next(events)["text"] == "hi"
    with pytest.raises(DaemonUnreachable):
        next(events)


# --- clients that go away ------------------------------------------------------------------------------------------


def test_closing_a_stream_hangs_up(daemon: ToyDaemon) -> None:
    daemon.answer, daemon.waits_for_client = OK + DELTA, True
    with client.stream("/x", {}, autostart=False) as events:
        assert next(iter(events))["text"] == "hi"
    assert daemon.client_left.wait(10)


async def test_closing_an_asynchronous_stream_hangs_up(daemon: ToyDaemon) -> None:
    daemon.answer, daemon.waits_for_client = OK + DELTA, True
    async with contextlib.aclosing(client.astream("/x", {}, autostart=False)) as events:
        assert (await events.__anext__())["text"] == "hi"
    assert await asyncio.to_thread(daemon.client_left.wait, 10)


async def test_cancelling_a_call_hangs_up(daemon: ToyDaemon) -> None:
    daemon.answer, daemon.waits_for_client = OK, True
    calling = asyncio.ensure_future(client.acall("POST", "/x", {}, autostart=False))
    assert await asyncio.to_thread(daemon.asked.wait, 10)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(daemon.client_left.wait, 10)


# --- finding the daemon --------------------------------------------------------------------------------------------


@every_way
def test_without_a_daemon_and_without_autostart_it_is_unreachable(no_daemon: Path, ask: Way) -> None:
    with pytest.raises(DaemonUnreachable, match="ingled is not running"):
        ask("/x", {})
    assert list(no_daemon.iterdir()) == [], "nothing was started or made"


@every_way
def test_a_stale_socket_is_no_daemon(daemon: ToyDaemon, ask: Way) -> None:
    daemon.close()
    with pytest.raises(DaemonUnreachable, match="ingled is not running"):
        ask("/x", {})


def test_a_socket_that_cannot_be_used_is_named(no_daemon: Path) -> None:
    paths.private_dir(paths.runtime_dir())
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with other:
        other.bind(str(paths.socket_file()))
        with pytest.raises(DaemonUnreachable, match=f"cannot reach ingled at {paths.socket_file()}"):
            launch.connect()


@every_way
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_socket_that_another_user_laid_out_first_is_told_nothing(daemon: ToyDaemon, ask: Way) -> None:
    """In /tmp, where the socket of a very deep home lies, anybody can make a folder of that name."""
    os.chown(paths.runtime_dir(), 12345, 12345)
    with pytest.raises(DaemonUnreachable, match="belongs to another user"):
        ask("/x", {"question": "what is private"})
    assert daemon.received == []


def test_a_daemon_that_is_there_is_not_started_again(daemon: ToyDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_spawn_daemon", lambda: pytest.fail("it runs already"))
    launch.start_daemon()


def test_of_many_clients_one_starts_the_daemon(no_daemon: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ToyDaemon] = []
    monkeypatch.setattr(launch, "_spawn_daemon", lambda: made.append(ToyDaemon()))
    with ThreadPoolExecutor(8) as pool:
        for connection in pool.map(lambda _: launch.connect(), range(8)):
            connection.close()
    assert len(made) == 1
    made[0].close()
