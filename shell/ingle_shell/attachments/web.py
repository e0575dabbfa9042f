"""A web page as text: fetched with a limit on size and time, HTML reduced to Markdown."""

from __future__ import annotations

import httpx2

from ingle_daemon import __version__
from ingle_daemon.client import call
from ingle_daemon.errors import DoesNotFit, IngleError, RefusedByPrivacy, UsageError
from ingle_shell.attachments.reading import NotText, text_of

__all__ = ["fetch", "is_url"]

_SECONDS = 20.0
_LARGEST_PAGE = 8 * 1024 * 1024
_UNREAD = ("script", "style", "noscript", "template", "svg", "nav", "footer", "iframe", "form")


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def fetch(url: str) -> str:
    """The text of a page. Raises RefusedByPrivacy when ingle is to stay off the network."""
    if call("GET", "/ingle/status").get("api", {}).get("offline"):
        raise RefusedByPrivacy(f"cannot fetch {url}: `offline = true` keeps ingle off the network")
    agent = {"User-Agent": f"ingle/{__version__}"}
    try:
        with (
            httpx2.Client(timeout=_SECONDS, follow_redirects=True, headers=agent) as client,
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


def _body(url: str, response: httpx2.Response) -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > _LARGEST_PAGE:
            raise DoesNotFit(f"{url} has more than {_LARGEST_PAGE:,} bytes", hint="Fetch the part that matters.")
    return bytes(body)


def _text(url: str, kind: str, body: bytes, encoding: str | None) -> str:
    if kind in ("text/html", "application/xhtml+xml"):
        return _markdown(body, encoding)
    if kind.startswith(("image/", "audio/", "video/", "font/")):
        raise NotText(f"{url} is not text: {kind}", hint="Send a page, text, or a PDF.")
    return text_of(url, body)


def _markdown(body: bytes, encoding: str | None) -> str:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(body, "html.parser", from_encoding=encoding)
    for element in soup(_UNREAD):
        element.decompose()
    text: str = MarkdownConverter(heading_style="ATX", strip=["img"]).convert_soup(soup)
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(line for line, before in zip(lines, ["x", *lines], strict=False) if line or before)
