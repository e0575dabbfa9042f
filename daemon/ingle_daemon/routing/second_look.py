"""A local answer, from its first token to what becomes of it: judged at its end, kept, offered elsewhere, or escalated.

Where it may be escalated unasked, nobody sees it before it is judged: an answer that was shown cannot be unsaid. What
would become of it is decided before it is made, too, so that nothing is held back that stays here anyway. This module
decides by `escalation.py` alone, and sends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import msgspec

from ingle_daemon.config import Settings
from ingle_daemon.errors import IngleError
from ingle_daemon.protocol import (
    AskRequest,
    Delta,
    Done,
    Draft,
    Drafting,
    Fit,
    Judgement,
    Offer,
    Reading,
    Routed,
    Started,
    Thinking,
)
from ingle_daemon.routing import budget
from ingle_daemon.routing.egress import Egress, Terms
from ingle_daemon.routing.escalation import Doubt, Verdict, decide, with_draft
from ingle_daemon.routing.judge import Judge, Watched
from ingle_daemon.routing.offers import before, beside, best
from ingle_daemon.routing.policy import Facts

__all__ = ["SecondLook"]

_TOLD_EVERY = 16
"""Tokens of an answer that nobody sees yet."""
_CHARACTERS_A_TOKEN = 3
"""Of a draft and what is said of it; on the safe side for prose and code."""

Piece = Reading | Started | Delta | Done
Event = Routed | Drafting | Thinking | Piece
Events = AsyncGenerator[Event, None]


class SecondLook:
    """One question that is answered here."""

    def __init__(
        self, judge: Judge, egress: Egress, settings: Settings, request: AskRequest, facts: Facts, fit: Fit
    ) -> None:
        self._judge = judge
        self._egress = egress
        self._settings = settings
        self._request = request
        self._fit = fit
        self._models = egress.candidates("default")
        self._facts = before(facts, self._models, egress)
        self._held: list[Piece] = []
        self._done: Done | None = None
        self._failure: IngleError | None = None

    async def answer(
        self, routed: Routed, here: AsyncGenerator[Piece, None], elsewhere: Callable[[AskRequest], Events]
    ) -> Events:
        """The events of `here`, a judgement with the last; or those of `elsewhere`, which is asked in its place.

        Where that fails before it says anything, `routed` begins the answer that was held back.
        """
        watched = await self._judge.watch(self._facts.local_model)
        hides = decide(self._doubt(0.0), self._facts).outcome == "escalate"
        async with contextlib.aclosing(self._made(here, watched, hides=hides)) as pieces:
            async for piece in pieces:
                yield piece
        assert self._done, "an answer has an end, or an error"
        verdict, judgement = await self._verdict(watched)
        self._judge.note(self._request, watched, judgement)
        if hides and verdict.outcome == "escalate":
            async with contextlib.aclosing(self._escalated(watched.draft(judgement), elsewhere)) as events:
                async for event in events:
                    yield event
            if self._failure is None:
                return
            judgement = msgspec.structs.replace(judgement, note=f"not escalated: {self._failure.message}")
            yield routed
        for piece in self._held:
            yield piece
        yield msgspec.structs.replace(self._done, judgement=judgement)

    async def _made(self, here: AsyncGenerator[Piece, None], watched: Watched, *, hides: bool) -> Events:
        """The answer's pieces but the last, or word of how many are held back."""
        try:
            async with contextlib.aclosing(here) as pieces:
                async for piece in pieces:
                    watched.see(piece)
                    if isinstance(piece, Done):
                        self._done = piece
                    elif not hides:
                        yield piece
                    else:
                        self._held.append(piece)
                        if watched.tokens % _TOLD_EVERY == 1:
                            yield Drafting(watched.tokens)
        except (
            GeneratorExit,
            asyncio.CancelledError,
        ):  # its client has read enough, and may tell its worth
            self._judge.note(self._request, watched, watched.judge(self._settings.api.confidence))
            raise

    async def _escalated(self, draft: Draft, elsewhere: Callable[[AskRequest], Events]) -> Events:
        """What is said elsewhere. A failure before that is remembered, not raised."""
        request = msgspec.structs.replace(self._request, route="api", draft=draft, id="")
        said = False
        try:
            async with contextlib.aclosing(elsewhere(request)) as events:
                async for event in events:
                    if not said and isinstance(event, Delta | Thinking):
                        said = True
                        self._judge.outcome(self._request.id, "automatic")
                    elif isinstance(event, Done) and event.usage:
                        self._judge.charge(self._request.id, event.usage.cost)
                    yield event
        except IngleError as error:
            if said:
                raise
            self._failure = error

    async def _verdict(self, watched: Watched) -> tuple[Verdict, Judgement]:
        """What is thought of the whole answer, and what is to become of it."""
        judgement = watched.judge(self._settings.api.confidence)
        doubt = self._doubt(judgement.confidence)
        offer = await self._offer(watched, judgement) if judgement.confidence < doubt.threshold else None
        verdict = decide(doubt, beside(self._facts, offer))
        offered = _as_offer(offer) if offer and verdict.outcome == "offer" else None
        return verdict, msgspec.structs.replace(judgement, rule=verdict.rule, facts=verdict.facts, offer=offered)

    async def _offer(self, watched: Watched, judgement: Judgement) -> Terms | None:
        """What it would take to have the API asked, the draft going along; None where nothing may leave anyway."""
        if self._facts.offline or self._facts.private:
            return None
        request = with_draft(msgspec.structs.replace(self._request, draft=watched.draft(judgement)))
        told = sum(len(message.content) for message in request.messages[len(self._request.messages) :])
        fit = msgspec.structs.replace(self._fit, prompt_tokens=self._fit.prompt_tokens + told // _CHARACTERS_A_TOKEN)
        return best([await self._egress.terms(model, request, fit) for model in self._models])

    def _doubt(self, confidence: float) -> Doubt:
        api = self._settings.api
        return Doubt(confidence, api.confidence, api.escalate)


def _as_offer(terms: Terms) -> Offer:
    nano = terms.estimate.nano
    return Offer(terms.model.name, terms.model.host, None if nano is None else budget.dollars(nano))
