"""`textDocument/inlineCompletion`: from an editor's request to the items that it shows.

Holds what lives from one request to the next: the debouncer, the last completion, the daemon's outage. This
module knows LSP's types; the text work is done under `completion/`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

from lsprotocol import types as lsp

from ingle_daemon.errors import IngleError
from ingle_lsp.completion.cache import LastCompletion
from ingle_lsp.completion.context import Encoding, Hole, hole_at, units
from ingle_lsp.completion.debounce import Debouncer
from ingle_lsp.completion.postprocess import clean
from ingle_lsp.completion.stream import Outage, infill, infill_body
from ingle_lsp.settings import Settings

__all__ = ["ACCEPTED", "Document", "InlineCompletion"]

ACCEPTED = "ingle.accepted"


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is at the time of a request."""

    uri: str
    source: str
    encoding: Encoding
    filename: str
    repo: str


class InlineCompletion:
    """Completes one cursor at a time for each document. `tell` reaches the user, `fill` reaches the daemon."""

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        fill: Callable[..., Awaitable[str]] = infill,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._fill = fill
        self._clock = clock
        self._debouncer = Debouncer()
        self._last = LastCompletion()
        self._outage = Outage()
        self._ids = count(1)

    async def items(
        self, document: Document, params: lsp.InlineCompletionParams, settings: Settings
    ) -> list[lsp.InlineCompletionItem]:
        """At most one item; none when superseded, with nothing to show, or when the daemon is away."""
        line, encoding = params.position.line, document.encoding
        cursor = hole_at(document.source, line, params.position.character, encoding)
        hole = _with_selected(cursor, document, params)
        invoked = params.context.trigger_kind == lsp.InlineCompletionTriggerKind.Invoked
        text = await self._text(document, hole, settings, delay=0 if invoked else settings.debounce_ms / 1000)
        if not text:
            return []
        whole = hole.line_before + text
        # From the start of the line: some editors refuse or misplace what begins in its middle.
        replaced = lsp.Range(lsp.Position(line, 0), lsp.Position(line, units(cursor.line_before, encoding)))
        accepted = lsp.Command(title="Accepted", command=ACCEPTED, arguments=[str(next(self._ids))])
        return [lsp.InlineCompletionItem(whole, filter_text=whole, range=replaced, command=accepted)]

    def close(self, uri: str) -> None:
        """The document is closed."""
        self._debouncer.supersede(uri)
        self._last.forget(uri)

    async def _text(self, document: Document, hole: Hole, settings: Settings, delay: float) -> str:
        if rest := self._last.rest(document.uri, hole):
            self._debouncer.supersede(document.uri)
            return rest

        async def ask() -> str:
            body = infill_body(hole, document.filename, document.repo, settings)
            return await self._fill(body, autostart=self._outage.may_start(self._clock()))

        try:
            answer = await self._debouncer.run(document.uri, delay, ask)
        except IngleError as error:
            if message := self._outage.began(error, self._clock()):
                self._tell(message)
            return ""
        if answer is None:
            return ""
        self._outage.ended()
        text = clean(answer, hole)
        self._last.keep(document.uri, hole, text)
        return text


def _with_selected(hole: Hole, document: Document, params: lsp.InlineCompletionParams) -> Hole:
    """The hole as it will be once the entry selected in the completion menu is taken.

    An item that does not begin with that entry would not be shown.
    """
    selected = params.context.selected_completion_info
    if not selected or selected.range.start.line != params.position.line:
        return hole
    start = selected.range.start
    before = hole_at(document.source, start.line, start.character, document.encoding).before
    return Hole(before + selected.text, hole.after)
