"""API calls by way of a proxy: a real one on loopback, which lets through, refuses or keeps silent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from ingle_daemon.backends import transport
from ingle_daemon.backends.proxy import proxy_of
from ingle_daemon.errors import ApiRefused, ApiUnreachable, IngleError, UsageError
from ingle_daemon.protocol import Delta, Done
from provider import Provider, piece, stream
from proxy import Proxy

ANSWER = stream(piece("from afar", "stop"), "data: [DONE]")
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The provider's side of TLS for far.example, by an authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("far.example").configure_cert(context)
    return context


def call(url: str = "https://far.example/v1", timeout: float = 30) -> transport.Call:
    return transport.Call(f"{url}/chat/completions", b"{}", {"Authorization": "Bearer k"}, timeout, 10_000)


async def answer(asked: transport.Call) -> str:
    events = [event async for event in transport.stream(asked)]
    assert isinstance(events[-1], Done)
    return "".join(event.text for event in events if isinstance(event, Delta))


async def failure(asked: transport.Call) -> IngleError:
    with pytest.raises(IngleError) as raised:
        await answer(asked)
    return raised.value


@contextlib.asynccontextmanager
async def proxied(tls: ssl.SSLContext | None, **how: str) -> AsyncIterator[tuple[Proxy, Provider]]:
    async with Provider(ANSWER).serve(tls) as provider, Proxy(provider.port, **how).serve() as proxy:  # type: ignore[arg-type]
        yield proxy, provider


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_https_goes_through_a_tunnel(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async with proxied(tls) as (proxy, provider):
        monkeypatch.setenv(name, proxy.url)
        assert await answer(call()) == "from afar"
        assert proxy.lines == ["CONNECT far.example:443 HTTP/1.1"]
        assert b"Bearer" not in proxy.heads[0]
        assert b"Bearer k" in provider.head


async def test_http_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxied(None) as (proxy, _):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert await answer(call("http://far.example/v1")) == "from afar"
        assert proxy.lines == ["POST http://far.example/v1/chat/completions HTTP/1.1"]


async def test_a_login_goes_to_the_proxy_and_into_no_message(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(tls) as (proxy, provider):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//kim:pa55@"))
        assert await answer(call()) == "from afar"
        assert base64.b64encode(b"kim:pa55") in proxy.heads[0]
        assert b"pa55" not in provider.head
    error = await failure(call())  # it is gone
    assert isinstance(error, ApiUnreachable)
    assert f"the proxy 127.0.0.1:{proxy.port} is no way to far.example" in error.message
    assert "pa55" not in str(error)


@pytest.mark.parametrize("exempt", ["far.example", ".example", "other.example, far.example", "*"])
async def test_what_no_proxy_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    async with proxied(None) as (proxy, _):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exempt)
        error = await failure(call("http://far.example/v1"))
        assert isinstance(error, ApiUnreachable)  # there is no such host
        assert "proxy" not in error.message
        assert proxy.lines == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_what_this_machine_serves_is_never_asked_by_way_of_a_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async with proxied(None) as (proxy, provider):
        monkeypatch.setenv(name, proxy.url)
        assert await answer(call(f"http://127.0.0.1:{provider.port}/v1")) == "from afar"
        assert proxy.lines == []


@pytest.mark.parametrize("refusal", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_a_proxy_that_refuses_is_named(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    async with proxied(tls, manner="refuse", refusal=refusal) as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = await failure(call())
    assert isinstance(error, ApiUnreachable)
    assert error.message == f"the proxy 127.0.0.1:{proxy.port} is no way to far.example: {refusal}"
    assert "HTTPS_PROXY" in error.hint


async def test_a_login_that_a_forwarding_proxy_wants_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxied(None, manner="refuse", refusal="407 Proxy Authentication Required") as (proxy, _):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        error = await failure(call("http://far.example/v1"))
    assert isinstance(error, ApiRefused)
    assert "proxy wants a login" in error.hint


async def test_a_proxy_that_keeps_silent_is_given_up_soon(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_CONNECT_S", 0.3)
    async with proxied(tls, manner="silent") as (proxy, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        begin = time.monotonic()
        error = await failure(call(timeout=60))
        assert time.monotonic() - begin < 10
    assert isinstance(error, ApiUnreachable)
    assert "it did not answer" in error.message


async def test_behind_a_proxy_a_provider_has_its_own_time(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_CONNECT_S", 0.3)

    async def late(writer: object) -> None:
        await asyncio.sleep(1)
        await ANSWER(writer)  # type: ignore[arg-type]

    async with Provider(late).serve(tls) as provider, Proxy(provider.port).serve() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert await answer(call()) == "from afar"


def test_a_socks_proxy_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(UsageError, match="socks5 proxy"):
        proxy_of("https://far.example/v1")
