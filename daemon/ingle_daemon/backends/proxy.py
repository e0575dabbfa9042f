"""The proxy between this machine and a provider, where the environment names one: which it is, and patience with it.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY are read as curl reads them; the connection itself is the HTTP
library's. What this machine serves itself is never asked by way of a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ingle_daemon.errors import UsageError

__all__ = ["HINT", "Tunnel", "on_this_machine", "proxy_of"]

HINT = (
    "HTTPS_PROXY and NO_PROXY say which proxy; ingled has them from where it was started: `ingle stop`, and the next"
    " `ask` takes the new ones."
)
_LET_THROUGH = "proxy.start_tls.started"
"""What the HTTP library calls the moment at which a proxy has let us through."""


def on_this_machine(url: str) -> bool:
    return _host_in(url) in ("localhost", "127.0.0.1", "::1")


def _host_in(url: str) -> str:
    """ "" in what is no address: the HTTP library says what is wrong with it."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def proxy_of(url: str) -> str:
    """Host and port of the proxy that stands between, without its login; "" for none. Raises UsageError for SOCKS."""
    host, proxies = _host_in(url), getproxies()
    proxy = proxies.get(url.partition(":")[0].lower()) or proxies.get("all") or ""
    if not (host and proxy) or on_this_machine(url) or proxy_bypass(host):
        return ""
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if found.scheme not in ("http", "https"):
        raise UsageError(
            f"the environment names a {found.scheme} proxy for {host}, and only HTTP proxies are spoken to",
            hint=HINT,
        )
    return found.netloc.rpartition("@")[2]


class Tunnel:
    """How long is waited: a proxy has `connect` seconds to let us through to an https address, the host `read`."""

    def __init__(self, url: str, *, connect: float, read: float) -> None:
        self.proxy = proxy_of(url)
        self.stands = not (self.proxy and url.startswith("https:"))
        self._read = read
        self._timeouts = {
            "connect": connect, "read": read if self.stands else connect, "write": read, "pool": read,
        }  # fmt: skip

    @property
    def extensions(self) -> Mapping[str, Any]:
        """For the HTTP library, which looks at the timeouts whenever it begins to wait."""
        return {"timeout": self._timeouts, "trace": self._trace}

    async def _trace(self, event: str, _: object) -> None:
        if event == _LET_THROUGH:
            self.stands = True
            self._timeouts["read"] = self._read
