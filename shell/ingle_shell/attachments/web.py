"""A web page as text: fetched with a limit on size and time, HTML reduced to Markdown.

The user may name any address, their own machine and network too. A page outside may not lead there by a redirect: what
only this machine can reach would be asked for in the user's name, and might go to an API model.
"""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from collections.abc import Callable

import httpx2

from ingle_daemon import __version__
from ingle_daemon.client import call
from ingle_daemon.errors import DoesNotFit, IngleError, RefusedByPrivacy, UsageError
from ingle_shell.attachments import apart
from ingle_shell.attachments.reading import NotText, text_of

__all__ = ["fetch", "is_url"]

_SECONDS = 20.0
_LARGEST_PAGE = 8 * 1024 * 1024


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def fetch(url: str) -> str:
    """The text of a page. Raises RefusedByPrivacy when ingle is to stay off the network."""
    if call("GET", "/ingle/status").get("api", {}).get("offline"):
        raise RefusedByPrivacy(f"cannot fetch {url}: `offline = true` keeps ingle off the network")
    agent = {"User-Agent": f"ingle/{__version__}"}
    try:
        typed = httpx2.URL(url).host
        hooks: dict[str, list[Callable[..., None]]] = {
            "request": [_not_inside(typed)],
            "response": [_not_from_inside(typed)],
        }
        with (
            httpx2.Client(timeout=_SECONDS, follow_redirects=True, headers=agent, event_hooks=hooks) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise UsageError(f"{url} answered HTTP {response.status_code}", hint="Check the address.")
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return _text(url, kind, _body(url, response), response.encoding)
    except httpx2.InvalidURL as exc:
        raise UsageError(f"{url} is not an address: {exc}") from exc
    except httpx2.HTTPError as exc:
        raise IngleError(f"cannot fetch {url}: {exc or type(exc).__name__}", hint="Check the network.") from exc


def _not_inside(typed: str) -> Callable[[httpx2.Request], None]:
    """Sees every request, redirected ones too; raises RefusedByPrivacy where one leads inside from `typed` outside."""
    inside = _is_inside(typed)

    def check(request: httpx2.Request) -> None:
        host = request.url.host
        if not inside and host != typed and not all(map(_is_outside, _addresses(host))):
            raise _leads_inside(typed, host)

    return check


def _not_from_inside(typed: str) -> Callable[[httpx2.Response], None]:
    """Sees every answer before its body; raises RefusedByPrivacy where it comes from inside, and `typed` is outside.

    A name server may tell one address to who checks it, and another one to who connects.
    """
    known, inside = _addresses(typed), _is_inside(typed)

    def check(response: httpx2.Response) -> None:
        url = response.request.url
        peer = response.extensions["network_stream"].get_extra_info("server_addr")[0]
        if not inside and peer not in known and not _is_outside(peer) and not _by_proxy(url):
            raise _leads_inside(typed, peer)

    return check


def _leads_inside(typed: str, target: str) -> RefusedByPrivacy:
    return RefusedByPrivacy(
        f"{typed} leads into this machine or its network, to {target}",
        hint="Where you trust that address, name it itself.",
    )


def _is_inside(host: str) -> bool:
    """It has no address of the internet; a name that only a proxy knows is outside."""
    known = _addresses(host)
    return bool(known) and not any(map(_is_outside, known))


def _addresses(host: str) -> list[str]:
    """None for a name that only a proxy knows."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError):
        return []


def _is_outside(address: str) -> bool:
    """It is an address of the internet."""
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def _by_proxy(url: httpx2.URL) -> bool:
    """The connection is the proxy's, which may well be on this machine."""
    proxies = urllib.request.getproxies()
    return (url.scheme in proxies or "all" in proxies) and not urllib.request.proxy_bypass(url.host)


def _body(url: str, response: httpx2.Response) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > _LARGEST_PAGE:
            raise DoesNotFit(f"{url} has more than {_LARGEST_PAGE:,} bytes", hint="Fetch the part that matters.")
    return bytes(body)


def _text(url: str, kind: str, body: bytes, encoding: str | None) -> str:
    if kind in ("text/html", "application/xhtml+xml"):
        try:
            return apart.parts("html", body, encoding=encoding or "")[0]
        except apart.Unreadable as exc:
            raise NotText(f"{url} cannot be read: {exc}", hint="Send the part that matters.") from exc
    if kind.startswith(("image/", "audio/", "video/", "font/")):
        raise NotText(f"{url} is not text: {kind}", hint="Send a page, text, or a PDF.")
    return text_of(url, body)
