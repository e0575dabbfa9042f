"""What the child processes that download have in common: how they speak with ingled, and how bytes get into a file.

    ingled → child   a Job            which file; on the child's standard input, so that no address shows in `ps`
    child → ingled   Found            what the server has
    ingled → child   Go               fetch it into this file, after what is in it already
    child → ingled   Waiting …        the server asks for patience
    child → ingled   Fetched          it is there

or at any point Failed or DiskFailed, which is the last word. With the children the only importer of huggingface_hub,
whose transfer is used for any server: it goes on after a cut, and it tries again when it is told to wait.
"""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import os
import re
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from huggingface_hub import constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import parse_ratelimit_headers

from ingle_daemon import __version__
from ingle_daemon.errors import IngleError, NoModel
from ingle_daemon.models.download import DiskFailed, Failed, Fetched, Found, Go, Job, Listed, Waiting
from ingle_daemon.models.fetching import printable

__all__ = ["AGENT", "download", "explain", "patiently", "reason", "run", "say", "use_client"]

AGENT = f"ingle/{__version__}"

_STDIN = 0
_CHUNK = 1 << 16
"""Of the library's own 10 MB a cut would lose as many, and on a slow line a minute would pass without a byte."""
_LONGEST_WAIT_S = 60
"""A server that asks for more patience than that is left alone, and the user is told when to come back."""
_TRIES = 5
_REACH_S = 4.0
"""To find a server, and to shake hands with it. A machine that cannot do that in so long is as good as offline."""

_ERRNO = re.compile(r"\[Errno -?\d+\] ")

T = TypeVar("T")
Hook = Callable[[httpx2.Request], None]


def run(fetch: Callable[[Job], None], failure: Callable[[Job, Exception], IngleError]) -> None:
    """The life of a child: one job, done by `fetch`; `failure` puts into words what it met."""
    job = msgspec.json.decode(_read_line(), type=Job)
    try:
        fetch(job)
        say(Fetched())
    except IngleError as exc:
        say(Failed(error=exc.to_wire()))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as exc:
        disk = isinstance(exc, OSError) and exc.errno
        say(DiskFailed(errno=disk) if disk else Failed(error=failure(job, exc).to_wire()))


def use_client(*before: Hook) -> None:
    """Make the library speak through a client of ours. Each of `before` sees every request, redirected ones too."""
    answered = threading.Event()

    def make() -> httpx2.Client:
        hooks: dict[str, list[Callable[..., object]]] = {"request": [*before], "response": [_heed_rate_limit]}
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        return _Client(answered, event_hooks=hooks, follow_redirects=True, timeout=timeout)

    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    set_client_factory(make)


def patiently(ask: Callable[[], T]) -> T:
    """What `ask` gets from a server, asked again when that says after how long."""
    for _ in range(_TRIES):
        try:
            return ask()
        except HfHubHTTPError as exc:  # noqa: PERF203 - the loop is there to try again
            seconds = _retry_after(exc.response)
            if exc.response.status_code != 429 or seconds is None:
                raise
            time.sleep(seconds)
    return ask()


def download(url: str, headers: Mapping[str, str], found: Found) -> None:
    """Say what was found, wait for the word to go on, and fetch it."""
    say(found)
    go = msgspec.json.decode(_read_line(), type=Go)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with Path(go.part).open("r+b") as part:
        fcntl.flock(part, fcntl.LOCK_EX)  # the child of an ingled that was killed may still write its last byte
        if not go.resume or part.seek(0, os.SEEK_END) > found.size_bytes:
            part.truncate(0)
        for _ in range(_TRIES):
            with contextlib.suppress(httpx2.ReadError):  # a cut that the library does not take for one
                _append(part, url, headers, found.size_bytes)
                return
        _append(part, url, headers, found.size_bytes)


def _append(part: BinaryIO, url: str, headers: Mapping[str, str], size_bytes: int) -> None:
    have = part.seek(0, os.SEEK_END)
    wanted = {**headers, "Accept-Encoding": "identity"}
    http_get(url, part, resume_size=have, headers=wanted, expected_size=size_bytes)


def explain(what: str, exc: BaseException) -> NoModel | None:
    """What went wrong, where it is the same wherever a file comes from."""
    if isinstance(exc, OfflineModeIsEnabled):
        return NoModel(f"cannot fetch {what}: HF_HUB_OFFLINE is set", hint="Unset it, `ingle stop`, and try again.")
    if isinstance(exc, HfHubHTTPError) and exc.response.status_code == 429:
        return _rate_limited(what, _retry_after(exc.response))
    if isinstance(exc, _AskedToWait):
        return _rate_limited(what, exc.seconds)
    if isinstance(exc, _NotFound):
        return NoModel(
            f"cannot fetch {what}: {exc}",
            hint="Check the network, the proxy and the address (of the hub: HF_ENDPOINT), then try again.",
        )
    if isinstance(exc.__cause__ if isinstance(exc, _Unreachable) else exc, httpx2.TimeoutException):
        return NoModel(
            f"cannot fetch {what}: the server did not answer in time",
            hint="Check the network, then try again: it goes on with what is there already.",
        )
    return None


def _rate_limited(what: str, seconds: int | None) -> NoModel:
    when = "later" if seconds is None else f"in {seconds} s"
    return NoModel(
        f"the server has had too many requests and does not deliver {what} now (HTTP 429)",
        hint=f"Try again {when}: it goes on with what is there already. A hub lets in more with a token (HF_TOKEN).",
    )


# --- the client ------------------------------------------------------------------------------------------


class _AskedToWait(httpx2.HTTPError):
    """The server asks for more patience than a command has."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"asked to wait {seconds} s")
        self.seconds = seconds


class _NotFound(httpx2.HTTPError):
    """No name server says where the server is, or the proxy that leads to it."""


class _Unreachable(httpx2.HTTPError):
    """None of the errors at which the library tries again. The cause is one."""


class _Client(httpx2.Client):
    """Gives up at once where nobody answers: the library would try for half a minute.

    When somebody has `answered`, the library's patience is what a download needs.
    """

    def __init__(self, answered: threading.Event, **settings: Any) -> None:
        super().__init__(**settings)
        self._answered = answered

    def send(self, request: httpx2.Request, **how: Any) -> httpx2.Response:
        if constants.is_offline_mode():
            raise OfflineModeIsEnabled(f"HF_HUB_OFFLINE is set, and {request.url.host} is not on this machine")
        if self._answered.is_set():
            return super().send(request, **how)
        _look_up(str(request.url))
        request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "connect": _REACH_S}
        try:
            response = super().send(request, **how)
        except (httpx2.NetworkError, httpx2.TimeoutException) as exc:
            raise _Unreachable(f"{_first_host(str(request.url))} cannot be reached: {exc}") from exc
        self._answered.set()
        return response


def _look_up(url: str) -> None:
    """Ask the name server, once, for the server, or for the proxy: that looks up the server itself."""
    if not (host := _first_host(url)):
        return  # what is wrong with the address is for the library to say
    ends: list[OSError | None] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(host, None)
        except OSError as exc:
            ends.append(exc)
        else:
            ends.append(None)

    asking = threading.Thread(target=ask, daemon=True)  # a name server that is silent cannot be hung up on
    asking.start()
    asking.join(_REACH_S)
    if not ends:
        raise _NotFound(f"{host} is not found: the name server did not answer in {_REACH_S:g} s")
    if ends[0]:
        raise _NotFound(f"{host} is not found: {ends[0].strerror}")


def _first_host(url: str) -> str:
    """Whom a request for `url` is sent to."""
    try:
        parts = urlsplit(url)
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError:
        return ""
    return parts.hostname or ""


def _heed_rate_limit(response: httpx2.Response) -> None:
    """Tell the user about a wait that is worth it; the library and `patiently` are who waits."""
    seconds = _retry_after(response)
    if response.status_code != 429 or seconds is None:
        return
    if seconds > _LONGEST_WAIT_S:
        raise _AskedToWait(seconds)
    response.headers["Retry-After"] = str(seconds)  # the library does not read dates
    say(Waiting(seconds=seconds))


def _retry_after(response: httpx2.Response) -> int | None:
    """Seconds, as the hub says it, or from the standard's number or date."""
    limit = parse_ratelimit_headers(response.headers)
    if limit and not limit.remaining:
        return limit.reset_in_seconds
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return int(value)
    try:
        return max(0, round(email.utils.parsedate_to_datetime(value).timestamp() - time.time()))
    except ValueError:
        return None


# --- the parent ------------------------------------------------------------------------------------------


def say(message: Found | Listed | Waiting | Fetched | Failed | DiskFailed) -> None:
    """Tell ingled."""
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def _read_line() -> bytes:
    """What ingled says next; its end is the end of this process."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := os.read(_STDIN, 1)):
            sys.exit(1)
        line += byte
    return bytes(line)


def _end_with_parent() -> None:
    """A parent that is killed cannot kill us: its end of our standard input closes then."""
    os.read(_STDIN, 1)
    os._exit(1)


def reason(exc: BaseException) -> str:
    """An error's own words, in one line without numbers and secrets."""
    return printable(_ERRNO.sub("", (str(exc) or type(exc).__name__).splitlines()[0]))
