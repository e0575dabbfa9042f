"""The API model, against a provider on loopback that answers as told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from ingle_daemon.backends.keys import Pocket
from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import ProviderSettings
from ingle_daemon.errors import ApiFailed, CaptivePortal, IngleError, UsageError
from ingle_daemon.protocol import ChatMessage, Delta, Done, Thinking, Usage
from provider import Answer, Provider, http, piece, raw, stream, usage

KEY = "sk-very-secret-0123456789"
QUESTION = (ChatMessage("system", "Be brief."), ChatMessage("user", "Why?"))
Answered = Delta | Thinking | Done


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def model(provider: Provider, **changes: object) -> ApiModel:
    settings = ProviderSettings(
        url=f"http://127.0.0.1:{provider.port}/v1/", model="big", key_env="TEST_KEY", allow=True, context=9000
    )
    return ApiModel(msgspec.structs.replace(settings, **changes), pause=at_once)


async def at_once(seconds: float) -> None:
    """A pause between two tries that takes no time."""


def sending(api: ApiModel, **wishes: Any) -> AsyncGenerator[Answered, None]:
    """The question as a request, on its way."""
    wishes = {"max_tokens": 99, "temperature": None, **wishes}
    return api.send(api.body(QUESTION, **wishes), KEY, max_tokens=99)


async def ask(answer: Answer, **changes: object) -> tuple[list[Answered], IngleError | None, Provider]:
    """Every event, the error it ended in, and the provider that saw the request."""
    events: list[Answered] = []
    async with Provider(answer).serve() as provider:
        try:
            async for event in sending(model(provider, **changes), temperature=0.2):
                events.append(event)  # noqa: PERF401 - what came before an error counts
        except IngleError as error:
            return events, error, provider
        await provider.hung_up.wait()
        return events, None, provider


def text_of(events: list[Answered]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_an_answer_streams_and_is_counted() -> None:
    answer = stream(piece(""), piece("Be"), piece("cause."), piece(None, "stop"), usage(), "data: [DONE]")
    events, error, provider = await ask(answer)
    assert error is None
    assert events == [Delta("Be"), Delta("cause."), Done("end", usage=Usage(1000, 500))]
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
    _, error, provider = await ask(http("503 Service Unavailable", "application/json", body))
    assert error is not None
    assert error.message == f"127.0.0.1:{provider.port} answered HTTP 503: model big is overloaded"


async def test_what_the_provider_says_is_not_read_to_any_depth() -> None:
    body = 30_000 * b"[" + 30_000 * b"]"
    _, error, provider = await ask(http("400 Bad Request", "application/json", body))
    assert error is not None
    assert error.message == f"127.0.0.1:{provider.port} answered HTTP 400"


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_something_else_than_a_stream_is_refused(kind: str) -> None:
    _, error, _ = await ask(http("200 OK", kind, b"<html>hello</html>"))
    assert isinstance(error, CaptivePortal if kind == "text/html" else ApiFailed)
    assert ("a web page" if kind == "text/html" else kind) in error.message
    assert "as far as /v1" in error.hint


@pytest.mark.parametrize("junk", ["<html>", '{"odd": ' + 100_000 * "[" + 100_000 * "]" + "}"], ids=["html", "nested"])
async def test_a_stream_of_something_else_is_refused(junk: str) -> None:
    events, error, _ = await ask(stream(piece("Be"), f"data: {junk}"))
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
        answer = sending(model(provider), max_tokens=None)
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
        first = asyncio.ensure_future(anext(sending(model(provider))))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.wait_for(provider.hung_up.wait(), 5)


async def test_a_provider_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    provider = Provider(raw(b""))
    provider.port = unused_tcp_port
    with pytest.raises(ApiFailed, match=r"cannot reach 127\.0\.0\.1"):
        await anext(sending(model(provider)))


@pytest.mark.parametrize("key", [None, "", "  ", "sk-\nsecret", "sk-ü"])
async def test_a_missing_or_impossible_key_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("TEST_KEY") if key is None else monkeypatch.setenv("TEST_KEY", key)
    with pytest.raises(UsageError, match="TEST_KEY holds no key for") as caught:
        await model(Provider(raw(b""))).key(Pocket())
    assert "sk-" not in str(caught.value)


async def test_a_provider_that_wants_no_key_gets_none() -> None:
    async with Provider(stream(piece("a", "stop"))).serve() as provider:
        api = model(provider, key_env="")
        body = api.body(QUESTION, max_tokens=99, temperature=None)
        async for _ in api.send(body, await api.key(Pocket()), max_tokens=99):
            pass
    assert b"authorization" not in provider.head.lower()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "127.0.0.1/v1", "http://[::1/v1"])
async def test_a_url_that_is_none_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="not an HTTP address"):
        await anext(sending(ApiModel(ProviderSettings(url=url, model="big"))))


async def test_the_key_is_neither_kept_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Provider(stream(piece("a", "stop"))).serve() as provider:
        api = model(provider)
        async for _ in sending(api):
            pass
    assert KEY not in repr(vars(api))
    assert KEY not in caplog.text
    assert "Why?" not in caplog.text
