"""The child process that downloads what lies at an address that the user typed.

The user may point it anywhere, at their own machine and network too. The server that answers may not: a redirect could
make ingled call what only this machine can reach (a router's page, a cloud's metadata service, another daemon's port),
in the user's name. So from an address outside, redirects lead to addresses outside only, and from https to https only;
from one inside (`file server → storage`, both the user's own) they may lead anywhere. A name is inside where all of its
addresses are: whose name server answers with both is outside. What counts is the address that is really connected to,
whatever a name server says the second time it is asked.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status

from ingle_daemon.errors import IngleError, NoModel
from ingle_daemon.models import transfer
from ingle_daemon.models.download import Found, Job
from ingle_daemon.models.fetching import printable

__all__ = ["main"]

_HEADERS = {"User-Agent": transfer.AGENT, "Accept-Encoding": "identity"}
_NETWORK_HINT = "Check the address, the network and the proxy, then try again."


def main() -> None:
    """Do the job that is told on standard input."""
    transfer.run(_fetch, _failure)


def _fetch(job: Job) -> None:
    redirects = _Redirects(job.url)
    sys.addaudithook(redirects.on_event)
    transfer.use_client(redirects.on_request)
    found, headers = transfer.patiently(lambda: _find(job.url))
    transfer.download(job.url, _HEADERS | headers, found)


def _find(url: str) -> tuple[Found, dict[str, str]]:
    """Ask for the first byte: many servers that sign addresses do not answer a HEAD."""
    with get_session().stream("GET", url, headers={**_HEADERS, "Range": "bytes=0-0"}) as answer:
        hf_raise_for_status(answer)
        ranges = answer.status_code == 206
        size = answer.headers.get("Content-Range", "").rpartition("/")[2] if ranges else ""
        size = size or answer.headers.get("Content-Length", "")
        # A weak mark does not promise the same bytes, and a server that takes no ranges cannot go on anyway.
        mark = answer.headers.get("ETag", "") or answer.headers.get("Last-Modified", "")
        mark = mark if ranges and not mark.startswith("W/") else ""
    if not size.isdigit() or not int(size):
        raise NoModel(
            f"{printable(url)} does not say how large it is",
            hint="Fetch it by other means and `ingle model import` the file.",
        )
    found = Found(size_bytes=int(size), sha256="", version=mark, origin=printable(url))
    return found, {"If-Range": mark} if mark else {}


class _Redirects:
    """Where redirects may not lead: see the module."""

    def __init__(self, url: str) -> None:
        self._typed = httpx2.URL(url)
        addresses = [address for address, _ in _resolve(url)]
        self._inside = bool(addresses) and not any(map(_is_outside, addresses))
        proxies = [proxy for scheme, proxy in urllib.request.getproxies().items() if scheme != "no"]
        self._proxies = {place for proxy in proxies for place in _resolve(proxy)}

    def on_request(self, request: httpx2.Request) -> None:
        """Every request before it is sent, redirected or not."""
        if self._typed.scheme == "https" and request.url.scheme != "https":
            raise _refused(f"from https to http, to {printable(str(request.url))}")

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Every connection before it is made (an audit hook of the interpreter)."""
        if event != "socket.connect" or self._inside or not isinstance(arguments[1], tuple):
            return
        address, port = str(arguments[1][0]), arguments[1][1]
        if (address, port) not in self._proxies and not _is_outside(address):
            raise _refused(f"into this machine or its network, to {address}")


def _resolve(url: str) -> set[tuple[str, int]]:
    """The addresses and the port of a URL; none where this machine cannot tell: behind a proxy it need not."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return {(str(found[4][0]), port) for found in socket.getaddrinfo(parts.hostname, port)}
    except (OSError, ValueError):
        return set()


def _is_outside(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def _refused(how: str) -> NoModel:
    return NoModel(
        f"the server redirects {how}, and that is not followed",
        hint="Where you trust that address, pull it by itself.",
    )


def _failure(job: Job, exc: Exception) -> IngleError:
    what = printable(job.url)
    if told := transfer.explain(what, exc):
        return told
    if isinstance(exc, HfHubHTTPError):
        return _refusal(what, exc.response.status_code)
    return NoModel(f"cannot fetch {what}: {transfer.reason(exc)}", hint=_NETWORK_HINT)


def _refusal(what: str, status: int) -> NoModel:
    if status in (404, 410):
        return NoModel(f"there is nothing at {what} (HTTP {status})", hint="Check the address.")
    if status in (401, 403):
        return NoModel(
            f"the server refuses {what} (HTTP {status})",
            hint="It wants a login, or the address was signed for a while that is over.",
        )
    return NoModel(f"the server cannot deliver {what} (HTTP {status})", hint="Try again later.")


if __name__ == "__main__":
    main()
