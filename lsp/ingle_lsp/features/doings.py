"""From LSP's messages to where the user was lately: changes, requests, documents opened and closed, diagnostics.

An LSP server is not told what other servers found: it knows the diagnostics that come with a request for code actions,
and those that a plugin sends. What is made of all this is `completion/recent.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from lsprotocol import types as lsp

from ingle_daemon.protocol import ContextPiece
from ingle_lsp.completion.recent import File, Problem, Recent
from ingle_lsp.settings import Context

if TYPE_CHECKING:
    from ingle_lsp.features.inline import Document

__all__ = ["Doings"]


class _Start(Protocol):
    @property
    def line(self) -> int: ...


class _Range(Protocol):
    @property
    def start(self) -> _Start: ...


class _Diagnostic(Protocol):
    """LSP's, or a plugin's."""

    @property
    def range(self) -> _Range: ...
    @property
    def message(self) -> str: ...
    @property
    def severity(self) -> int | None: ...


class Doings:
    """What the user of one editor does, as its messages tell."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent = Recent()

    def context(self, document: Document, settings: Context) -> tuple[ContextPiece, ...]:
        """What of it may help with a completion in `document`."""
        sources = settings.sources
        return self._recent.pieces(_file(document), sources) if sources else ()

    def opened(self, document: Document) -> None:
        self._recent.opened(_file(document))

    def closed(self, uri: str) -> None:
        self._recent.closed(uri, self._clock())

    def visited(self, document: Document, line: int) -> None:
        self._recent.at(_file(document), line, line, self._clock())

    def changed(self, document: Document, changes: Sequence[lsp.TextDocumentContentChangeEvent]) -> None:
        """The document is as it is after these changes. One without a range replaced all of it, which nobody typed."""
        for change in changes:
            if isinstance(change, lsp.TextDocumentContentChangePartial):
                first = change.range.start.line
                self._recent.at(_file(document), first, first + change.text.count("\n"), self._clock(), edited=True)

    def looked_at(self, document: Document, params: lsp.CodeActionParams) -> None:
        """Code actions were asked for: here the user is, and this is wrong here."""
        first, last = params.range.start.line, params.range.end.line
        if first == last:
            self.visited(document, first)
        self._recent.wrong_with(document.uri, _problems(params.context.diagnostics), within=(first, last))

    def wrong_with(self, uri: str, diagnostics: Iterable[_Diagnostic]) -> None:
        """A plugin says that these are all of a document's diagnostics."""
        self._recent.wrong_with(uri, _problems(diagnostics))


def _problems(diagnostics: Iterable[_Diagnostic]) -> list[Problem]:
    return [Problem(found.range.start.line, found.message, found.severity or 1) for found in diagnostics]


def _file(document: Document) -> File:
    return File(document.uri, document.source, document.filename, document.root)
