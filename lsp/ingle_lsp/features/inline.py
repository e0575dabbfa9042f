"""`textDocument/inlineCompletion`: from an editor's request to the items that it shows.

Holds what lives from one request to the next: the debouncer, the cache, the offers, each document's syntax, the
daemon's outage. This module knows LSP's types; the text work is done under `completion/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import msgspec
from lsprotocol import types as lsp

from ingle_daemon.errors import IngleError
from ingle_daemon.protocol import CompletionRequest, ContextPiece, Outcome
from ingle_lsp.completion.cache import Completed, Completions
from ingle_lsp.completion.closers import put_in
from ingle_lsp.completion.context import TOP, Encoding, Hole, Landmark, hole_at, units
from ingle_lsp.completion.debounce import Debouncer, Rhythm
from ingle_lsp.completion.filters import filtered
from ingle_lsp.completion.gates import Situation, closed_gate
from ingle_lsp.completion.offers import Offers, Spot
from ingle_lsp.completion.outcomes import Outcomes
from ingle_lsp.completion.status import StatusBoard
from ingle_lsp.completion.stops import plan_for
from ingle_lsp.completion.stream import Answer, Ask, Outage, ask_daemon, read
from ingle_lsp.completion.syntax import Syntax, language_of
from ingle_lsp.settings import Settings

__all__ = ["ACCEPTED", "Document", "InlineCompletion"]

ACCEPTED = "ingle.accepted"
_PAUSE = 0.3
"""Seconds without a key after which there is time to read a document's syntax again."""
_SLOWER = 3
"""On battery a pause in typing is so many times as long: fewer completions are asked for that nobody waits to see."""
_ALTERNATIVES_TEMPERATURE = 0.8
"""Of the second choice and on; the first one is greedy."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is at the time of a request, edited last `near` there. `context` are pieces of this and others
    that may help."""

    uri: str
    source: str
    encoding: Encoding
    filename: str
    repo: str
    root: str = ""
    language: str = ""
    context: tuple[ContextPiece, ...] = ()
    near: Landmark = TOP


@dataclass(slots=True)
class _Known:
    """What is kept of an open document: itself as it was last, its tree, and where its cursor was."""

    document: Document
    syntax: Syntax | None
    hole: Hole
    settling: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Live:
    """An answer that is being written, as far as it has got."""

    hole: Hole
    text: str = ""

    def grow(self, text: str) -> None:
        self.text = text


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
        status: StatusBoard,
        *,
        ask: Ask = ask_daemon,
        outcomes: Outcomes | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._status = status
        self._ask = ask
        self._outcomes = outcomes or Outcomes()
        self._clock = clock
        self._debouncer = Debouncer()
        self._rhythm = Rhythm()
        self._cache = Completions()
        self._outage = Outage()
        self._documents: dict[str, _Known] = {}
        self._live: dict[str, _Live] = {}
        self.offers = Offers(self._tell_outcome, self._text_of, sleep)
        self.editor_tells_shown = False
        """Whether the editor says what is shown; otherwise what was sent first counts as shown."""
        self.editor_waited = 0.0
        """Seconds of a pause in typing that have passed when an automatic request comes: some editors wait, too."""

    async def items(
        self, document: Document, params: lsp.InlineCompletionParams, settings: Settings
    ) -> list[lsp.InlineCompletionItem]:
        """What may be shown, the best first; none when superseded, with nothing to show, or when the daemon is away.

        At most one, unless the user asked by hand.
        """
        if not settings.enabled:
            return []
        line, encoding = params.position.line, document.encoding
        cursor = hole_at(document.source, line, params.position.character, encoding, document.near)
        hole = _with_selected(cursor, document, params)
        invoked = params.context.trigger_kind == lsp.InlineCompletionTriggerKind.Invoked
        choices = await self._choices(document, hole, settings, invoked=invoked)
        if not choices:
            return []
        self.offers.send(Spot(document.uri, hole, encoding, document.language), choices)
        if not self.editor_tells_shown:
            self.offers.shown(choices[0].id)
        column = units(cursor.line_before, encoding)
        return [_item(hole.line_before, completed, lsp.Position(line, column)) for completed in choices]

    async def accepted(self, completion: str, settings: Settings) -> None:
        """The user took a completion. What follows it is made ready before it is asked for."""
        offer = self.offers.accepted(completion)
        known = self._documents.get(offer.spot.uri) if offer else None
        if offer is None or known is None or not settings.enabled:
            return
        taken, after = offer.completed, offer.spot.hole.after
        before = offer.spot.hole.before + taken.text
        hole = replace(offer.spot.hole, before=before, after=after[len(taken.replaced) :])
        if not self._status.saving and not self._cache.rests(offer.spot.uri, hole):
            await self._make(known.document, hole, settings, ahead=True)

    def close(self, uri: str) -> None:
        """The document is closed."""
        self._debouncer.supersede(uri)
        self._cache.forget(uri)
        self._documents.pop(uri, None)

    @property
    def _typing_pause(self) -> float:
        """Seconds to wait for a pause in typing."""
        return self._rhythm.delay * (_SLOWER if self._status.saving else 1)

    async def _choices(self, document: Document, hole: Hole, settings: Settings, *, invoked: bool) -> list[Completed]:
        situation = self._situation(document, hole)
        wanted = settings.candidates if invoked else 1
        rests = self._cache.rests(document.uri, hole)
        if not rests and self._may_join(document, hole):
            await self._debouncer.join(document.uri)
            rests = self._cache.rests(document.uri, hole)
        if rests and (len(rests) >= wanted or not rests[0].adds):
            self._debouncer.supersede(document.uri)
            return [rest for rest in rests[:wanted] if rest.adds]
        if not rests:
            self.offers.overtaken(document.uri, hole)
        if not invoked and (gate := closed_gate(situation, settings.gates)):
            self._debouncer.supersede(document.uri)
            self._tell_outcome(Outcome("", "skipped", gate), document.language)
            return []
        pause = self._typing_pause if settings.debounce_ms is None else settings.debounce_ms / 1000
        delay = 0.0 if invoked else max(pause - self.editor_waited, 0.0)
        work = self._debouncer.run(
            document.uri, delay, lambda: self._make_several(document, hole, settings, wanted, rests)
        )
        return await work or []

    async def _make_several(
        self, document: Document, hole: Hole, settings: Settings, wanted: int, known: list[Completed]
    ) -> list[Completed]:
        """As many different completions as are wanted, or as there are; the likeliest first, which may be known.

        The others are asked for once it is there, when all of the prompt has been evaluated.
        """
        first = known[0] if known else await self._make(document, hole, settings)
        if first is None or wanted == 1:
            return [first] if first else []
        with self._status.asking():
            drawn = await asyncio.gather(
                *(self._make(document, hole, settings, draw=draw) for draw in range(1, wanted))
            )
        different: dict[str, Completed] = {}
        for choice in (*(known or [first]), *filter(None, drawn)):
            different.setdefault(choice.text, choice)
        choices = list(different.values())
        self._cache.keep(document.uri, hole, *choices)
        return choices

    def _situation(self, document: Document, hole: Hole) -> Situation:
        """Where the cursor is, and what became of the text since it was last asked about."""
        known = self._documents.get(document.uri)
        if known is None:
            language = language_of(document.language, document.filename)
            known = _Known(document, Syntax(language) if language else None, hole)
            self._documents[document.uri] = known
        before, known.hole, known.document = known.hole, hole, document
        if before != hole:
            self._rhythm.key(self._clock())
        if known.syntax:
            known.syntax.update(document.source)
            if known.settling is not None:
                known.settling.cancel()
            if known.syntax.slow:
                known.settling = asyncio.get_running_loop().call_later(_PAUSE, known.syntax.settle)
        deleted = len(hole.before) < len(before.before) and before.before.startswith(hole.before)
        return Situation(hole, known.syntax.kind_at(hole.at) if known.syntax else "code", deleted)

    async def _make(
        self, document: Document, hole: Hole, settings: Settings, *, ahead: bool = False, draw: int = 0
    ) -> Completed | None:
        """A new completion, kept for when it is asked for again; None when there is nothing to show.

        The likeliest one, or, with `draw`, another that is drawn at random, always the same for a number.
        """
        request = _request(document, hole, settings, ahead=ahead, draw=draw)
        phases = _Phases(self._clock, self._clock())
        answer = await self._answer(document, request, hole)
        phases.end("wait")
        if answer is None:
            return None
        known = self._documents.get(document.uri)
        shown = filtered(answer.text, hole, settings.filters, known.syntax if known else None)
        phases.end("filters")
        unsure = answer.score < settings.min_score and not draw  # who wants to choose gets a choice
        dropped_by = shown.dropped_by or ("score" if unsure else "")
        made = Outcome(
            request.id,
            "hidden" if dropped_by else "shown",
            dropped_by,
            characters=len(shown.text),
            lines=shown.text.count("\n") + 1,
            score=answer.score,
            phases=phases.spent,
            text=shown.text,
        )
        if dropped_by:
            self._tell_outcome(made, document.language)
            return None
        completed = Completed(request.id, shown.text, made)
        if not draw:
            self._cache.keep(document.uri, hole, completed)
        return completed

    def _may_join(self, document: Document, hole: Hole) -> bool:
        """What was typed since a running answer was asked for is what that says, as far as it has got."""
        live = self._live.get(document.uri)
        if live is None or not hole.before.startswith(live.hole.before):
            return False
        typed = hole.before[len(live.hole.before) :]
        if put_in(typed, live.hole.after, hole.after) is None:
            return False
        return live.text.startswith(typed) or typed.startswith(live.text)

    async def _answer(self, document: Document, request: CompletionRequest, hole: Hole) -> Answer | None:
        events = self._ask(request, self._outage.may_start(self._clock()))
        live = _Live(hole)
        if not request.ahead and not request.temperature:
            self._live[document.uri] = live
        waited_for = contextlib.nullcontext() if request.ahead else self._status.asking()
        try:
            with waited_for:
                answer = await read(events, plan_for(hole), hole.line_before, live.grow)
        except IngleError as error:
            self._tell_outcome(Outcome(request.id, "failed", error.code), document.language)
            self._status.failed(error)
            if message := self._outage.began(error, self._clock()):
                self._tell(message)
            return None
        finally:
            if self._live.get(document.uri) is live:
                del self._live[document.uri]
        self._outage.ended()
        self._status.answered()
        return answer

    def _text_of(self, uri: str) -> str | None:
        known = self._documents.get(uri)
        return known.document.source if known else None

    def _tell_outcome(self, outcome: Outcome, language: str) -> None:
        self._outcomes.add(msgspec.structs.replace(outcome, language=language))


def _item(line_before: str, completed: Completed, cursor: lsp.Position) -> lsp.InlineCompletionItem:
    """The item that puts a completion behind the text before the cursor.

    From the start of the line: some editors refuse or misplace what begins in its middle.
    """
    whole = line_before + completed.text
    end = lsp.Position(cursor.line, cursor.character + len(completed.replaced))  # a closer is one unit everywhere
    replaced = lsp.Range(lsp.Position(cursor.line, 0), end)
    accepted = lsp.Command(title="Accepted", command=ACCEPTED, arguments=[completed.id])
    return lsp.InlineCompletionItem(whole, filter_text=whole, range=replaced, command=accepted)


def _request(document: Document, hole: Hole, settings: Settings, *, ahead: bool, draw: int) -> CompletionRequest:
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
        temperature=_ALTERNATIVES_TEMPERATURE if draw else 0.0,
        seed=draw or None,
    )


def _with_selected(hole: Hole, document: Document, params: lsp.InlineCompletionParams) -> Hole:
    """The hole as it will be once the entry selected in the completion menu is taken.

    An item that does not begin with that entry would not be shown.
    """
    selected = params.context.selected_completion_info
    if not selected or selected.range.start.line != params.position.line:
        return hole
    start = selected.range.start
    begun = hole_at(document.source, start.line, start.character, document.encoding, document.near)
    return replace(begun, before=begun.before + selected.text, after=hole.after)
