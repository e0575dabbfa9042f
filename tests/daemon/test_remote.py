"""The API model, against a provider on loopback that answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import ApiSettings
from ingle_daemon.errors import ApiFailed, IngleError, UsageError
from ingle_daemon.protocol import ChatMessage, Delta, Done, Started, Usage

KEY = "sk-very-secret-0123456789"
QUESTION = (ChatMessage("system", "Be brief."), ChatMessage("user", "Why?"))
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """An HTTP server that answers every request with the same bytes, in the same way."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.head = b""
        self.body: dict[str, Any] = {}
        self.hung_up = asyncio.Event()
        self.port = 0
        self._talks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[Provider]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
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
        length = next(line for line in self.head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        self.body = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
        await self._answer(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        self.hung_up.set()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def http(status: str, kind: str, body: bytes, *headers: str) -> Answer:
    """A complete answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + body)


def raw(content: bytes, *, then_close: bool = False) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
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


def usage(**extra: float) -> str:
    counts = {"prompt_tokens": 1000, "completion_tokens": 500, **extra}
    return "data: " + json.dumps({"choices": [], "usage": counts})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def model(provider: Provider, **changes: object) -> ApiModel:
    settings = ApiSettings(
        url=f"http://127.0.0.1:{provider.port}/v1/", model="big", key_env="TEST_KEY", allow=True, context=9000
    )
    return ApiModel(msgspec.structs.replace(settings, **changes))


async def ask(answer: Answer, **changes: object) -> tuple[list[Started | Delta | Done], IngleError | None, Provider]:
    """Every event, the error it ended in, and the provider that saw the request."""
    events: list[Started | Delta | Done] = []
    async with Provider(answer).serve() as provider:
        try:
            async for event in model(provider, **changes).generate(QUESTION, max_tokens=99, temperature=0.2):
                events.append(event)  # noqa: PERF401 - what came before an error counts
        except IngleError as error:
            return events, error, provider
        await provider.hung_up.wait()
        return events, None, provider


def text_of(events: list[Started | Delta | Done]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_an_answer_streams_and_is_counted() -> None:
    answer = stream(piece(""), piece("Be"), piece("cause."), piece(None, "stop"), usage(), "data: [DONE]")
    events, error, provider = await ask(answer)
    assert error is None
    assert events == [Started(0, 9000), Delta("Be"), Delta("cause."), Done("end", usage=Usage(1000, 500))]
    assert provider.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}\r\n".lower().encode() in provider.head.lower()
    assert provider.body == {
        "model": "big",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 99,
        "temperature": 0.2,
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_comments_line_ends_and_characters_in_pieces_do_no_harm(newline: str) -> None:
    text = "ü\u2028日本\x85語 🎉"
    answer = stream(": PROCESSING", piece(text), "event: ping", piece("!", "stop"), "data: [DONE]", newline=newline)
    events, error, _ = await ask(answer)
    assert error is None
    assert text_of(events) == text + "!"


async def test_the_end_mark_may_be_missing_when_the_answer_is_finished() -> None:
    events, error, _ = await ask(stream(piece("Yes", "length")))
    assert error is None
    assert events[-1] == Done("limit")


@pytest.mark.parametrize(
    ("counted", "prices", "cost"),
    [
        (usage(), {"price_in": 0.1, "price_out": 0.4}, 0.0003),
        (usage(cost=0.0042), {"price_in": 0.1, "price_out": 0.4}, 0.0042),
        (usage(), {"price_in": 0.1}, None),
    ],
)
async def test_the_cost_is_the_providers_own_or_tokens_times_prices(
    counted: str, prices: dict[str, object], cost: float | None
) -> None:
    events, _, _ = await ask(stream(piece("a", "stop"), counted, "data: [DONE]"), **prices)
    assert isinstance(events[-1], Done)
    assert events[-1].usage is not None
    assert events[-1].usage.cost == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("401 Unauthorized", "key_env"),
        ("402 Payment Required", "credit"),
        ("404 Not Found", "[api] url"),
        ("429 Too Many Requests", "wait a little"),
        ("500 Internal Server Error", "later"),
        ("301 Moved Permanently", "[api] url"),
    ],
)
async def test_an_error_status_says_what_to_do_and_never_the_key(status: str, hint: str) -> None:
    body = json.dumps({"error": {"message": f"Bad\n\x1b[31m key {KEY}"}}).encode()
    events, error, _ = await ask(http(status, "application/json", body, "Retry-After: 7", "Location: /elsewhere"))
    assert events == []
    assert isinstance(error, ApiFailed)
    assert (error.exit_code, error.http_status) == (6, 502)
    assert error.details["status"] == int(status[:3])
    assert hint in error.hint
    assert KEY not in json.dumps(error.to_wire())
    assert "\x1b" not in error.message


async def test_what_the_provider_says_is_passed_on() -> None:
    body = b'{"error": {"message": "model big is overloaded", "code": 503}}'
    _, error, _ = await ask(http("503 Service Unavailable", "application/json", body))
    assert error is not None
    assert error.message == "127.0.0.1 answered HTTP 503: model big is overloaded"


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_something_else_than_a_stream_is_refused(kind: str) -> None:
    _, error, _ = await ask(http("200 OK", kind, b"<html>hello</html>"))
    assert isinstance(error, ApiFailed)
    assert kind in error.message
    assert "as far as /v1" in error.hint


async def test_a_stream_of_something_else_is_refused() -> None:
    events, error, _ = await ask(stream(piece("Be"), "data: <html>"))
    assert text_of(events) == "Be"
    assert isinstance(error, ApiFailed)
    assert "no chat completion" in error.message


@pytest.mark.parametrize("reason", ["error", "content_filter"])
async def test_a_failure_in_the_middle_keeps_what_came_before(reason: str) -> None:
    failure = {"error": {"message": "upstream died"}, "choices": [{"delta": {}, "finish_reason": reason}]}
    if reason == "content_filter":
        del failure["error"]
    events, error, _ = await ask(stream(piece("Be"), "data: " + json.dumps(failure), "data: [DONE]"))
    assert text_of(events) == "Be"
    assert isinstance(error, ApiFailed)


@pytest.mark.parametrize("complete", [True, False])
async def test_a_connection_cut_in_the_middle_is_no_end(complete: bool) -> None:
    whole = stream(piece("Be"), then_close=complete)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await whole(writer)
        writer.close()

    events, error, _ = await ask(answer)
    assert text_of(events) == "Be"
    assert isinstance(error, ApiFailed)
    assert "broke off" in error.message


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"])
async def test_a_provider_that_stalls_is_given_up(sent: bytes) -> None:
    _, error, provider = await ask(raw(sent), timeout=0.05)
    assert isinstance(error, ApiFailed)
    assert "sent nothing for 0.05 seconds" in error.message
    assert provider.head


async def test_closing_the_answer_hangs_up() -> None:
    async with Provider(stream(piece("Be"), then_close=False)).serve() as provider:
        answer = model(provider).generate(QUESTION, max_tokens=None, temperature=None)
        async for event in answer:
            if isinstance(event, Delta):
                break
        await answer.aclose()
        await asyncio.wait_for(provider.hung_up.wait(), 5)
        assert "max_tokens" not in provider.body
        assert "temperature" not in provider.body


async def test_cancelling_while_it_waits_hangs_up() -> None:
    asked = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        asked.set()

    async with Provider(silent).serve() as provider:
        first = asyncio.ensure_future(anext(model(provider).generate(QUESTION, max_tokens=None, temperature=None)))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(provider.hung_up.wait(), 5)


async def test_a_provider_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    provider = Provider(raw(b""))
    provider.port = unused_tcp_port
    with pytest.raises(ApiFailed, match=r"cannot reach 127\.0\.0\.1"):
        await anext(model(provider).generate(QUESTION, max_tokens=None, temperature=None))


@pytest.mark.parametrize("key", [None, "", "  ", "sk-\nsecret", "sk-ü"])
async def test_a_missing_or_impossible_key_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("TEST_KEY") if key is None else monkeypatch.setenv("TEST_KEY", key)
    with pytest.raises(UsageError, match="TEST_KEY holds no key for") as caught:
        await anext(model(Provider(raw(b""))).generate(QUESTION, max_tokens=None, temperature=None))
    assert "sk-" not in str(caught.value)


async def test_a_provider_that_wants_no_key_gets_none() -> None:
    _, error, provider = await ask(stream(piece("a", "stop")), key_env="")
    assert error is None
    assert b"authorization" not in provider.head.lower()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "127.0.0.1/v1", "http://[::1/v1"])
async def test_a_url_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="not an HTTP address"):
        await anext(ApiModel(ApiSettings(url=url, model="big")).generate(QUESTION, max_tokens=None, temperature=None))


async def test_the_key_is_neither_kept_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Provider(stream(piece("a", "stop"))).serve() as provider:
        api = model(provider)
        async for _ in api.generate(QUESTION, max_tokens=None, temperature=None):
            pass
    assert KEY not in repr(vars(api))
    assert KEY not in caplog.text
    assert "Why?" not in caplog.text
