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
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

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

    def make() -> httpx2.Client:
        hooks: dict[str, list[Callable[..., object]]] = {
            "request": [_refuse_offline, *before],
            "response": [_heed_rate_limit],
        }
        return httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)

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
    if isinstance(exc, httpx2.TimeoutException):
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


def _refuse_offline(request: httpx2.Request) -> None:
    if constants.is_offline_mode():
        raise OfflineModeIsEnabled(f"HF_HUB_OFFLINE is set, and {request.url.host} is not on this machine")


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
    """An error's own words, in one line without secrets."""
    return printable((str(exc) or type(exc).__name__).splitlines()[0])
