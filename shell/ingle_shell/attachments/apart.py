"""Text out of PDFs and web pages, by a process of its own: one may be made to keep a parser busy and fill the memory.

    python -m ingle_shell.attachments.apart pdf|html < FILE

It answers with one JSON value: the text of each page, or why there is none.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import msgspec

__all__ = ["Unreadable", "parts"]

_SECONDS = 60.0
_MEMORY = 2 << 30
_LONGEST = 64 * 1024 * 1024
"""Characters of text; `ask` sends no more."""
_UNREAD = ("script", "style", "noscript", "template", "svg", "nav", "footer", "iframe", "form")


class Unreadable(Exception):
    """Says why."""


class _Answer(msgspec.Struct):
    parts: list[str] = []
    problem: str = ""


def parts(kind: Literal["pdf", "html"], data: bytes, *, encoding: str = "", seconds: float = _SECONDS) -> list[str]:
    """The text of each page of a PDF, or of a web page. Raises Unreadable."""
    command = [sys.executable, "-m", __name__, kind, encoding]
    try:
        # Not from the current directory: `python -m` would import a bs4.py that lies there.
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=True, cwd="/")
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except subprocess.TimeoutExpired as exc:
        raise Unreadable(f"it takes more than {seconds:g} s") from exc
    except (OSError, subprocess.CalledProcessError, msgspec.DecodeError) as exc:
        raise Unreadable("its reader failed, for want of memory perhaps") from exc
    if answer.problem:
        raise Unreadable(answer.problem)
    return answer.parts


def main() -> None:
    kind, encoding = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read()
    answer = _answer(_pages(data) if kind == "pdf" else _markdown(data, encoding))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


def _answer(texts: Iterator[str]) -> _Answer:
    answer, length = _Answer(), 0
    try:
        for text in texts:
            length += len(text)
            if length > _LONGEST:
                return _Answer(problem=f"it has more than {_LONGEST:,} characters")
            answer.parts.append(text.encode(errors="replace").decode())
    except RecursionError:
        return _Answer(problem="it is nested too deeply")
    except MemoryError:
        return _Answer(problem="it takes too much memory")
    except (ValueError, KeyError, TypeError) as exc:
        return _Answer(problem=str(exc).encode(errors="replace").decode())
    return answer


def _pages(data: bytes) -> Iterator[str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        for page in PdfReader(io.BytesIO(data)).pages:
            yield page.extract_text().strip()
    except PyPdfError as exc:
        raise ValueError(exc) from exc


def _markdown(data: bytes, encoding: str) -> Iterator[str]:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(data, "html.parser", from_encoding=encoding or None)
    for element in soup(_UNREAD):
        element.decompose()
    text: str = MarkdownConverter(heading_style="ATX", strip=["img"]).convert_soup(soup)
    lines = [line.rstrip() for line in text.strip().splitlines()]
    yield "\n".join(line for line, before in zip(lines, ["x", *lines], strict=False) if line or before)


if __name__ == "__main__":
    main()
