"""A model from an address that somebody typed: what it may be, what comes of a cut, and where a server may not lead."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest

from daemon.pulling.hub import FILE, PIECE, Hub
from daemon.pulling.pulls import all_of, assert_consistent, interrupt, kept, of_url, pull, refusal_of
from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.models import url_process
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.store import Store
from ingle_daemon.protocol import Pulling


async def test_a_file_at_an_address_is_pulled(hub: Hub, store: Store, model: bytes) -> None:
    await pull(store, of_url(hub.url()))
    installed = store.find("tiny")
    assert installed.path.read_bytes() == model
    assert (installed.sha256, installed.source) == (hub.sha256, hub.url())


async def test_the_digest_behind_the_address_is_what_it_must_be(hub: Hub, store: Store) -> None:
    await pull(store, of_url(f"{hub.url()}#sha256={hub.sha256}"))
    assert "#" not in store.find("tiny").source


async def test_another_digest_is_refused(hub: Hub, store: Store) -> None:
    refusal = await refusal_of(store, of_url(hub.url(), sha256="0" * 64))
    assert f"its SHA-256 is {hub.sha256} instead of {'0' * 64}" in refusal.message
    assert kept(store) == 0


@pytest.mark.parametrize("tenth", [1, 5, 9])
async def test_a_pull_that_was_cancelled_is_gone_on_with_by_the_next(
    hub: Hub, store: Store, model: bytes, tenth: int
) -> None:
    hub.holds_at = len(model) * tenth // 10
    await interrupt(Puller(store).pull(of_url(hub.url())), hub.holds_at - 2 * PIECE)
    there = kept(store)
    hub.holds_at, hub.sent = None, 0
    await pull(store, of_url(hub.url()))
    assert store.find("tiny").path.read_bytes() == model
    assert hub.sent == len(model) - there + 1  # the byte that asks how long it is


@pytest.mark.parametrize("mark", ['"two"', 'W/"weak"', None])
async def test_what_may_be_another_file_is_fetched_from_its_beginning(
    hub: Hub, store: Store, model: bytes, mark: str | None
) -> None:
    """The server has another version, does not say which, or promises none."""
    hub.mark = '"one"' if mark == '"two"' else mark
    hub.holds_at = 6_000_000
    await interrupt(Puller(store).pull(of_url(hub.url())), 4_000_000)
    hub.holds_at, hub.sent, hub.mark = None, 0, mark
    await pull(store, of_url(hub.url()))
    assert store.find("tiny").path.read_bytes() == model
    assert hub.sent == len(model) + 1


async def test_with_a_digest_it_goes_on_whatever_the_server_says_of_versions(
    hub: Hub, store: Store, model: bytes
) -> None:
    hub.mark, hub.holds_at = None, 6_000_000
    await interrupt(Puller(store).pull(of_url(hub.url(), hub.sha256)), 4_000_000)
    there = kept(store)
    hub.holds_at, hub.sent = None, 0
    await pull(store, of_url(hub.url(), hub.sha256))
    assert there > 4_000_000 - PIECE
    assert hub.sent == len(model) - there + 1


async def test_what_the_hub_began_an_address_can_end_where_the_digest_says_that_it_is_the_same(
    hub: Hub, store: Store, model: bytes
) -> None:
    hub.holds_at = 6_000_000
    await interrupt(Puller(store).pull(of_url(hub.url(), hub.sha256)), 4_000_000)
    hub.holds_at, hub.sent = None, 0
    await pull(store, of_url(hub.url("at/other.gguf").replace("/at/", "/cdn/"), hub.sha256))
    assert hub.sent < len(model) - 3_000_000


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (404, "there is nothing at http://127.0.0.1", "Check the address"),
        (403, "the server refuses http://127.0.0.1", "wants a login"),
        (500, "the server cannot deliver http://127.0.0.1", "later"),
        (429, "too many requests", "Try again later"),
    ],
)
async def test_a_refusal_says_what_to_do(hub: Hub, store: Store, status: int, message: str, hint: str) -> None:
    hub.cdn_refusals = [(status, {})] * 9
    refusal = await refusal_of(store, of_url(hub.url()))
    assert message in refusal.message
    assert hint in refusal.hint


async def test_a_server_that_asks_to_wait_a_moment_is_asked_again_then(hub: Hub, store: Store) -> None:
    hub.cdn_refusals = [(429, {"Retry-After": "1"})]
    events = await pull(store, of_url(hub.url()))
    assert "the server asks to wait 1 s" in {event.note for event in events if isinstance(event, Pulling)}


async def test_a_server_that_does_not_say_how_much_comes_is_not_listened_to(hub: Hub, store: Store) -> None:
    hub.hides_length, hub.takes_ranges = True, False
    refusal = await refusal_of(store, of_url(hub.url()))
    assert "does not say how large it is" in refusal.message


async def test_passwords_and_signatures_are_neither_shown_nor_kept(hub: Hub, store: Store) -> None:
    address = hub.url().replace("://", "://me:s3cret@") + "?Signature=s3cret"
    hub.cdn_refusals = [(404, {})]
    refusal = await refusal_of(store, of_url(address))
    assert "s3cret" not in str(refusal)
    assert FILE in refusal.message
    await pull(store, of_url(address))
    assert hub.requests[-1].headers["authorization"].startswith("Basic ")
    assert hub.requests[-1].url.query == "Signature=s3cret"
    for path in store.root.rglob("*"):
        assert "s3cret" not in path.name
        assert path.is_dir() or b"s3cret" not in path.read_bytes()


async def test_a_name_that_another_model_has_is_not_taken(hub: Hub, store: Store) -> None:
    await pull(store, of_url(hub.url()))
    with pytest.raises(UsageError, match="there is another model tiny already") as caught:
        await all_of(Puller(store).pull(of_url(hub.url("at/other.gguf"))))
    assert "--as NAME" in caught.value.hint
    assert_consistent(store, "tiny")


# --- redirects -------------------------------------------------------------------------------------------


async def test_an_address_inside_may_lead_to_another_one_inside(hub: Hub, store: Store, model: bytes) -> None:
    hub.redirects_to = f"http://localhost:{hub.port}/cdn/{FILE}?Signature=s3cret"
    await pull(store, of_url(hub.url(f"at/{FILE}")))
    assert store.find("tiny").path.read_bytes() == model
    assert store.find("tiny").source == hub.url(f"at/{FILE}")


async def test_a_password_does_not_follow_to_another_server(hub: Hub, store: Store) -> None:
    hub.redirects_to = f"http://localhost:{hub.port}/cdn/{FILE}"
    await pull(store, of_url(hub.url(f"at/{FILE}").replace("://", "://me:s3cret@")))
    assert hub.requests[0].headers["authorization"].startswith("Basic ")
    assert {request.headers.get("authorization") for request in hub.downloads()} == {None}


class NameServer:
    """Says of every name in `names` where it is, and of no other anything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
        self.names = names
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        address = self.names.get(host, host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


def connect(redirects: url_process._Redirects, address: str, port: int = 80) -> None:
    redirects.on_event("socket.connect", (object(), (address, port)))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "::1", "fe80::1%eth0"])
def test_a_server_outside_leads_nowhere_inside(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    NameServer(monkeypatch, outside="93.184.216.34")
    redirects = url_process._Redirects("http://outside/tiny.gguf")
    connect(redirects, "93.184.216.34")
    with pytest.raises(NoModel, match="redirects into this machine or its network") as caught:
        connect(redirects, address)
    assert "pull it by itself" in caught.value.hint


def test_a_name_that_means_another_address_the_second_time_is_seen_through(monkeypatch: pytest.MonkeyPatch) -> None:
    names = NameServer(monkeypatch, outside="93.184.216.34")
    redirects = url_process._Redirects("http://outside/tiny.gguf")
    names.names["outside"] = "127.0.0.1"
    with pytest.raises(NoModel):
        connect(redirects, "127.0.0.1")


def test_a_name_that_means_an_address_inside_as_well_is_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("127.0.0.1", "93.184.216.34")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NoModel, match="redirects into this machine or its network"):
        connect(url_process._Redirects("http://both/tiny.gguf"), "127.0.0.1", 2375)


def test_the_users_own_proxy_may_be_inside_and_its_neighbours_not(monkeypatch: pytest.MonkeyPatch) -> None:
    NameServer(monkeypatch, outside="93.184.216.34")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    redirects = url_process._Redirects("http://outside/tiny.gguf")
    connect(redirects, "127.0.0.1", 3128)
    with pytest.raises(NoModel):
        connect(redirects, "127.0.0.1", 2375)


def test_https_does_not_become_http(monkeypatch: pytest.MonkeyPatch) -> None:
    NameServer(monkeypatch, outside="93.184.216.34")
    redirects = url_process._Redirects("https://outside/tiny.gguf")
    redirects.on_request(httpx2.Request("GET", "https://elsewhere/tiny.gguf"))
    with pytest.raises(NoModel, match="from https to http, to http://elsewhere/tiny"):
        redirects.on_request(httpx2.Request("GET", "http://elsewhere/tiny.gguf?Signature=s3cret"))


async def test_a_real_redirect_to_the_inside_is_not_followed(
    hub: Hub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub behind a proxy is outside: its name is known to nobody here. Its redirect names this machine."""
    hub.redirects_to = f"http://127.0.0.1:{hub.port}/cdn/{FILE}"
    async with _proxy_to(hub) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        refusal = await refusal_of(store, of_url(f"http://hub.invalid/at/{FILE}"))
    assert "redirects into this machine or its network, to 127.0.0.1" in refusal.message
    assert hub.downloads() == []
    assert [request.url.path for request in hub.requests] == [f"/at/{FILE}"]


@contextlib.asynccontextmanager
async def _proxy_to(hub: Hub) -> AsyncIterator[str]:
    """A proxy that sends every request to the hub."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, address, rest = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
        path = b"/" + address.split(b"/", 3)[3]
        answers, requests = await asyncio.open_connection("127.0.0.1", hub.port)
        requests.write(b" ".join((method, path, rest)).replace(b"keep-alive", b"close"))
        writer.write(await answers.read())
        requests.close()
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
