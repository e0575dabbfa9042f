"""Bodies in, errors and streams out, and clients that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from ingle_daemon.dialects import http
from ingle_daemon.errors import ApiFailed, DoesNotFit, IngleError, Interrupted, NoModel, UsageError


class Body(msgspec.Struct):
    name: str = ""
    numbers: list[int] = msgspec.field(default_factory=list)


class Connection:
    """What stands between the server and a request: the body in chunks, then silence until the client goes away."""

    def __init__(self, *chunks: bytes, content_length: int | None = None) -> None:
        more = [*(True for _ in chunks[1:]), False]
        self._messages: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": is_more}
            for chunk, is_more in zip(chunks or (b"",), more, strict=True)
        ]
        self.gone = asyncio.Event()
        self.sent: list[Message] = []
        self.taken = 0
        headers = [] if content_length is None else [(b"content-length", str(content_length).encode())]
        self.scope = {"type": "http", "method": "POST", "path": "/infill", "headers": headers, "query_string": b""}
        self.request = Request(self.scope, self.receive)

    async def receive(self) -> Message:
        if self._messages:
            self.taken += 1
            return self._messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(self, response: Response) -> bytes:
        """Send `response`; what the client saw of its body."""
        await response(self.scope, self.receive, self.send)
        return b"".join(message.get("body", b"") for message in self.sent)


async def body_of(*chunks: bytes, limit: int = 1000, content_length: int | None = None) -> Body:
    return await http.read_body(Connection(*chunks, content_length=content_length).request, Body, limit)


# --- bodies --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(max_size=40), st.lists(st.integers(0, 200), max_size=5))
async def test_a_body_is_read_however_it_comes(name: str, cuts: list[int]) -> None:
    raw = json.dumps({"name": name, "numbers": [1, 2]}).encode()
    at = sorted(min(cut, len(raw)) for cut in cuts)
    chunks = [raw[start:end] for start, end in zip([0, *at], [*at, len(raw)], strict=True)]
    assert await body_of(*chunks) == Body(name, [1, 2])


async def test_no_body_is_an_empty_object() -> None:
    assert await body_of() == Body()


@pytest.mark.parametrize("content_length", [16, None], ids=["declared", "not declared"])
async def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(content_length: int | None) -> None:
    raw = b'{"name": "1234"}'
    assert await body_of(raw, limit=16, content_length=content_length) == Body("1234")
    with pytest.raises(DoesNotFit, match=r"the request has 16 bytes, ingled takes 15") as refused:
        await body_of(raw, limit=15, content_length=content_length)
    assert refused.value.details == {"n_bytes": 16, "limit_bytes": 15}
    assert "max_body_bytes" in refused.value.hint


async def test_a_body_declared_too_large_is_refused_before_it_is_read() -> None:
    connection = Connection(b"x" * 100, content_length=2000)
    with pytest.raises(DoesNotFit, match="2,000 bytes"):
        await http.read_body(connection.request, Body, 1000)
    assert connection.taken == 0


async def test_a_body_that_grows_too_large_is_read_no_further() -> None:
    connection = Connection(*(b"x" * 10 for _ in range(100)))
    with pytest.raises(DoesNotFit):
        await http.read_body(connection.request, Body, 35)
    assert connection.taken == 4


async def test_a_length_that_lies_does_not_help() -> None:
    with pytest.raises(DoesNotFit):
        await body_of(b"x" * 50, limit=20, content_length=5)


async def test_a_client_that_leaves_while_it_sends_has_interrupted_itself() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(Interrupted):
        await http.read_body(Request({**Connection().scope}, receive), Body, 100)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"hello",
        b'{"name": "x"} and more',
        b'{"name": 3}',
        b'{"numbers": [1, "2"]}',
        b"[]",
        b"null",
        b'{"name": "\xff"}',
        b"\xff\xfe",
        b"[" * 300_000,
        pytest.param(
            b'{"unknown": ' + b"[" * 300_000,
            id="deep in an unknown field",
        ),
    ],
)
async def test_a_malformed_body_is_a_usage_error_that_names_the_path(raw: bytes) -> None:
    with pytest.raises(UsageError, match="the request body is not what /infill takes: "):
        await body_of(raw, limit=1_000_000)


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [UsageError("a"), NoModel("b", hint="c"), DoesNotFit("d", n_ctx=5)])
def test_an_error_is_answered_with_its_status(error: IngleError) -> None:
    response = http.error_response(error)
    assert response.status_code == error.http_status
    assert json.loads(bytes(response.body)) == {"error": error.to_wire()}
    assert response.media_type == "application/json"


async def test_work_is_answered_as_json() -> None:
    async def work() -> dict[str, int]:
        return {"n": 1}

    response = await http.answer(Connection().request, work())
    assert (response.status_code, bytes(response.body)) == (200, b'{"n":1}')


async def test_an_error_of_the_work_is_its_own() -> None:
    async def work() -> None:
        raise NoModel("none")

    with pytest.raises(NoModel):
        await http.while_connected(Connection().request, work())


async def test_work_is_cancelled_when_its_client_goes_away() -> None:
    connection, working, cancelled = Connection(), asyncio.Event(), []

    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    answering = asyncio.ensure_future(http.while_connected(connection.request, work()))
    await working.wait()
    connection.gone.set()
    with pytest.raises(Interrupted):
        await answering
    assert cancelled == [True]


# --- streams -------------------------------------------------------------------------------------------------------


class Events:
    """A generator of `values`, then `error` or, with `forever`, nothing more. It knows whether it was closed."""

    def __init__(self, *values: str, error: IngleError | None = None, forever: bool = False) -> None:
        self._values = values
        self._error = error
        self._forever = forever
        self.waiting = asyncio.Event()
        self.closed = False

    async def run(self) -> AsyncGenerator[str, None]:
        try:
            for value in self._values:
                yield value
            self.waiting.set()
            if self._forever:
                await asyncio.Event().wait()
            if self._error:
                raise self._error
        finally:
            self.closed = True


async def streamed(connection: Connection, events: Events) -> Response:
    return await http.stream(
        connection.request,
        events.run(),
        lambda text: text.encode(),
        media_type="text/event-stream",
        last=b"[last]",
        on_error=lambda error: f"[{error.code}]".encode(),
    )


def headers_of(connection: Connection) -> dict[bytes, Any]:
    return dict(connection.sent[0]["headers"])


async def test_events_are_sent_one_by_one_and_the_last_piece_after_them() -> None:
    connection, events = Connection(), Events("a", "", "b")
    assert await connection.run(await streamed(connection, events)) == b"ab[last]"
    assert [message.get("body") for message in connection.sent] == [None, b"a", b"b", b"[last]", b""]
    assert headers_of(connection)[b"content-type"].startswith(b"text/event-stream")
    assert b"content-length" not in headers_of(connection)


async def test_an_error_before_the_first_event_keeps_its_status() -> None:
    events = Events(error=NoModel("none"))
    with pytest.raises(NoModel):
        await streamed(Connection(), events)
    assert events.closed


async def test_an_error_after_the_first_event_is_sent_in_the_stream() -> None:
    connection, events = Connection(), Events("a", error=ApiFailed("gone"))
    assert await connection.run(await streamed(connection, events)) == b"a[api_failed]"


@pytest.mark.parametrize("values", [(), ("a",)], ids=["before the first event", "after it"])
async def test_events_are_closed_when_their_client_goes_away(values: tuple[str, ...]) -> None:
    connection, events = Connection(), Events(*values, forever=True)

    async def serve() -> None:
        await connection.run(await streamed(connection, events))

    serving = asyncio.ensure_future(serve())
    await events.waiting.wait()
    connection.gone.set()
    if values:
        await serving
    else:
        with pytest.raises(Interrupted):
            await serving
    assert events.closed
