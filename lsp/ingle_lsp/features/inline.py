"""`textDocument/inlineCompletion`: from an editor's request to the items that it shows.

Holds what lives from one request to the next: the debouncer, the cache, each document's syntax, the daemon's outage.
This module knows LSP's types; the text work is done under `completion/`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
from lsprotocol import types as lsp

from ingle_daemon.errors import IngleError
from ingle_daemon.protocol import CompletionRequest, ContextPiece, Outcome
from ingle_lsp.completion.cache import Completed, Completions
from ingle_lsp.completion.context import Encoding, Hole, hole_at, units
from ingle_lsp.completion.debounce import Debouncer, Rhythm
from ingle_lsp.completion.filters import filtered
from ingle_lsp.completion.gates import Situation, closed_gate
from ingle_lsp.completion.outcomes import Outcomes
from ingle_lsp.completion.stops import plan_for
from ingle_lsp.completion.stream import Answer, Ask, Outage, ask_daemon, read
from ingle_lsp.completion.syntax import Syntax, language_of
from ingle_lsp.settings import Settings

__all__ = ["ACCEPTED", "Document", "InlineCompletion"]

ACCEPTED = "ingle.accepted"
_PAUSE = 0.3
"""Seconds without a key after which there is time to read a document's syntax again."""
_JUDGED_AFTER = 30.0
"""Seconds after which an accepted completion counts as kept or changed."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is at the time of a request. `context` are pieces of others that may help."""

    uri: str
    source: str
    encoding: Encoding
    filename: str
    repo: str
    root: str = ""
    language: str = ""
    context: tuple[ContextPiece, ...] = ()


@dataclass(slots=True)
class _Known:
    """What is kept of an open document: its tree, where its cursor was, and its text then."""

    syntax: Syntax | None
    hole: Hole
    source: str = ""
    settling: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Live:
    """An answer that is being written, as far as it has got."""

    hole: Hole
    text: str = ""

    def grow(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True, slots=True)
class _Offer:
    """A completion that was shown."""

    document: Document
    hole: Hole
    completed: Completed


@dataclass(slots=True)
class _Phases:
    """Milliseconds of one completion, by what they were spent on."""

    clock: Callable[[], float]
    since: float
    spent: dict[str, float] = field(default_factory=dict)

    def end(self, phase: str) -> None:
        now = self.clock()
        self.spent[phase] = round((now - self.since) * 1000, 2)
        self.since = now


class InlineCompletion:
    """Completes one cursor at a time for each document. `tell` reaches the user, `ask` the daemon."""

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        ask: Ask = ask_daemon,
        outcomes: Outcomes | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._sleep = sleep
        self._ask = ask
        self._outcomes = outcomes or Outcomes()
        self._clock = clock
        self._debouncer = Debouncer()
        self._rhythm = Rhythm()
        self._cache = Completions()
        self._outage = Outage()
        self._documents: dict[str, _Known] = {}
        self._live: dict[str, _Live] = {}
        self._offer: _Offer | None = None
        self._judgements: set[asyncio.Task[None]] = set()

    async def items(
        self, document: Document, params: lsp.InlineCompletionParams, settings: Settings
    ) -> list[lsp.InlineCompletionItem]:
        """At most one item; none when superseded, with nothing to show, or when the daemon is away."""
        line, encoding = params.position.line, document.encoding
        cursor = hole_at(document.source, line, params.position.character, encoding)
        hole = _with_selected(cursor, document, params)
        invoked = params.context.trigger_kind == lsp.InlineCompletionTriggerKind.Invoked
        completed = await self._completed(document, hole, settings, invoked=invoked)
        if completed is None:
            return []
        self._offer = _Offer(document, hole, completed)
        whole = hole.line_before + completed.text
        # From the start of the line: some editors refuse or misplace what begins in its middle.
        replaced = lsp.Range(lsp.Position(line, 0), lsp.Position(line, units(cursor.line_before, encoding)))
        accepted = lsp.Command(title="Accepted", command=ACCEPTED, arguments=[completed.id])
        return [lsp.InlineCompletionItem(whole, filter_text=whole, range=replaced, command=accepted)]

    async def accepted(self, completion: str, settings: Settings) -> None:
        """The user took a completion. What follows it is made ready before it is asked for."""
        offer = self._offer
        if offer is None or offer.completed.id != completion:
            return
        self._offer = None
        self._tell_outcome(Outcome(completion, "accepted", characters=len(offer.completed.text)), offer.document)
        task = asyncio.create_task(self._judge(offer))
        self._judgements.add(task)
        task.add_done_callback(self._judgements.discard)
        hole = Hole(offer.hole.before + offer.completed.text, offer.hole.after)
        if self._cache.rest(offer.document.uri, hole) is None:
            await self._make(offer.document, hole, settings, ahead=True)

    def close(self, uri: str) -> None:
        """The document is closed."""
        self._debouncer.supersede(uri)
        self._cache.forget(uri)
        self._documents.pop(uri, None)

    async def _completed(
        self, document: Document, hole: Hole, settings: Settings, *, invoked: bool
    ) -> Completed | None:
        situation = self._situation(document, hole)
        if rest := self._cache.rest(document.uri, hole):
            self._debouncer.supersede(document.uri)
            return rest if rest.text.strip() else None
        if self._may_join(document, hole):
            await self._debouncer.join(document.uri)
            if rest := self._cache.rest(document.uri, hole):
                return rest if rest.text.strip() else None
        self._reject_offer(document)
        if not invoked and (gate := closed_gate(situation, settings.gates)):
            self._debouncer.supersede(document.uri)
            self._tell_outcome(Outcome("", "skipped", gate), document)
            return None
        delay = 0.0 if invoked else self._rhythm.delay
        if not invoked and settings.debounce_ms is not None:
            delay = settings.debounce_ms / 1000
        return await self._debouncer.run(document.uri, delay, lambda: self._make(document, hole, settings))

    def _situation(self, document: Document, hole: Hole) -> Situation:
        """Where the cursor is, and what became of the text since it was last asked about."""
        known = self._documents.get(document.uri)
        if known is None:
            language = language_of(document.language, document.filename)
            known = self._documents[document.uri] = _Known(Syntax(language) if language else None, hole)
        before, known.hole, known.source = known.hole, hole, document.source
        if before != hole:
            self._rhythm.key(self._clock())
        if known.syntax:
            known.syntax.update(document.source)
            if known.settling is not None:
                known.settling.cancel()
            if known.syntax.slow:
                known.settling = asyncio.get_running_loop().call_later(_PAUSE, known.syntax.settle)
        deleted = len(hole.before) < len(before.before) and before.before.startswith(hole.before)
        return Situation(hole, known.syntax.kind_at(hole.before) if known.syntax else "code", deleted)

    async def _make(
        self, document: Document, hole: Hole, settings: Settings, *, ahead: bool = False
    ) -> Completed | None:
        """A new completion, kept for when it is asked for again; None when there is nothing to show."""
        request = _request(document, hole, settings, ahead=ahead)
        phases = _Phases(self._clock, self._clock())
        answer = await self._answer(document, request, hole)
        phases.end("wait")
        if answer is None:
            return None
        known = self._documents.get(document.uri)
        shown = filtered(answer.text, hole, settings.filters, known.syntax if known else None)
        phases.end("filters")
        dropped_by = shown.dropped_by or ("score" if answer.score < settings.min_score else "")
        self._tell_outcome(
            Outcome(
                request.id,
                "hidden" if dropped_by else "shown",
                dropped_by,
                characters=len(shown.text),
                lines=shown.text.count("\n") + 1,
                score=answer.score,
                phases=phases.spent,
                text=shown.text,
            ),
            document,
        )
        completed = Completed(request.id, "" if dropped_by else shown.text)
        self._cache.keep(document.uri, hole, completed)
        return None if dropped_by else completed

    def _may_join(self, document: Document, hole: Hole) -> bool:
        """What was typed since a running answer was asked for is what that says, as far as it has got."""
        live = self._live.get(document.uri)
        if live is None or live.hole.after != hole.after or not hole.before.startswith(live.hole.before):
            return False
        typed = hole.before[len(live.hole.before) :]
        return live.text.startswith(typed) or typed.startswith(live.text)

    def _reject_offer(self, document: Document) -> None:
        """Something else was typed than what is offered."""
        if self._offer is not None and self._offer.document.uri == document.uri:
            self._tell_outcome(Outcome(self._offer.completed.id, "rejected"), document)
            self._offer = None

    async def _judge(self, offer: _Offer) -> None:
        """Whether an accepted completion is still there after a while, as far as the document is still open."""
        await self._sleep(_JUDGED_AFTER)
        if known := self._documents.get(offer.document.uri):
            stays = offer.completed.text.strip() in known.source.replace("\r\n", "\n")
            self._tell_outcome(Outcome(offer.completed.id, "kept" if stays else "changed"), offer.document)

    async def _answer(self, document: Document, request: CompletionRequest, hole: Hole) -> Answer | None:
        events = self._ask(request, self._outage.may_start(self._clock()))
        live = _Live(hole)
        if not request.ahead:
            self._live[document.uri] = live
        try:
            answer = await read(events, plan_for(hole), hole.line_before, live.grow)
        except IngleError as error:
            self._tell_outcome(Outcome(request.id, "failed", error.code), document)
            if message := self._outage.began(error, self._clock()):
                self._tell(message)
            return None
        finally:
            if self._live.get(document.uri) is live:
                del self._live[document.uri]
        self._outage.ended()
        return answer

    def _tell_outcome(self, outcome: Outcome, document: Document) -> None:
        self._outcomes.add(msgspec.structs.replace(outcome, language=document.language))


def _request(document: Document, hole: Hole, settings: Settings, *, ahead: bool) -> CompletionRequest:
    return CompletionRequest(
        id=uuid.uuid4().hex,
        prefix=hole.prefix,
        suffix=hole.suffix,
        filename=document.filename,
        repo=document.repo,
        root=document.root,
        language=document.language,
        context=document.context,
        max_tokens=settings.max_tokens,
        time_ms=settings.max_time_ms,
        min_indent=hole.indent,
        ahead=ahead,
    )


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
