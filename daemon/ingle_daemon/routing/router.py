"""From a question to the model that answers it: count, decide, run. States the route before anything else.

The decision is `policy.decide`'s alone; this module gathers the facts it needs and runs what it says. It knows
backends by their seam, what leaves the machine by its one door (`egress.py`), no HTTP shape, and no llama.cpp.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.keys import Pocket
from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import Settings
from ingle_daemon.engine.schema import to_grammar
from ingle_daemon.errors import ApiFailed, BudgetSpent, IngleError, NoModel
from ingle_daemon.protocol import (
    AskRequest,
    ChatPrompt,
    Delta,
    Done,
    Drafting,
    Fit,
    GenerateRequest,
    Limits,
    ModelInfo,
    Plan,
    Reading,
    Route,
    Routed,
    Sampling,
    Started,
    Thinking,
)
from ingle_daemon.routing import gate
from ingle_daemon.routing.egress import Egress, Terms
from ingle_daemon.routing.escalation import with_draft
from ingle_daemon.routing.judge import Judge
from ingle_daemon.routing.long_document import LongDocument
from ingle_daemon.routing.offers import before, beside, best
from ingle_daemon.routing.parts import question_in
from ingle_daemon.routing.policy import Decision, Facts, TaskRule, decide
from ingle_daemon.routing.privacy import why_private
from ingle_daemon.routing.second_look import SecondLook

__all__ = ["Router"]

_PENALTY_WINDOW = 256
"""Tokens back to which a repetition counts: a few times the line that a small model repeats."""

_FITS = "fits"
"""The rule whose answers are judged."""

Answer = Reading | Drafting | Started | Thinking | Delta | Done


class _Question(msgspec.Struct, frozen=True):
    """A request, counted, and what is known of it. `offers`: the API models that may be asked, in their order."""

    request: AskRequest
    backend: Backend
    fit: Fit | None
    facts: Facts
    offers: tuple[Terms, ...]


class Router:
    """Sends each question where the policy says. `using` keeps the local model that a question names loaded."""

    def __init__(
        self,
        engine: Backend,
        local: Backend,
        egress: Egress,
        settings: Settings,
        using: Callable[[str], AbstractAsyncContextManager[None]] = lambda _: contextlib.nullcontext(),
        judge: Judge | None = None,
    ) -> None:
        """`engine` answers what may go to the team's engine, where there is one; `local` is always this machine."""
        self._engine = engine
        self._local = local
        self.egress = egress
        self._settings = settings
        self._using = using
        self.judge = judge or Judge(None)

    async def ask(
        self,
        request: AskRequest,
        *,
        top_p: float = 0.95,
        stop: tuple[str, ...] = (),
        judged: bool = False,
    ) -> AsyncGenerator[Routed | Answer, None]:
        """Routed, Started, Delta …, Done. Raises what the policy refuses with, and the model's own errors.

        What is None is taken from the settings. Where a provider fails before it said anything and another one may be
        asked, a second Routed begins the answer anew. With `judged` so it does where a local answer is doubted and the
        settings send such questions on; Done says what was thought of a local answer.
        """
        sampling = self._sampling(request, top_p)
        async with (
            self._using(request.model),
            contextlib.aclosing(self._answer(request, sampling, stop, judged=judged)) as events,
        ):
            routed: Routed | None = None
            async for event in events:
                if isinstance(event, Routed):
                    routed = event
                elif isinstance(event, Done) and routed:
                    self.judge.remember(routed.route, routed.facts, event.judgement)
                yield event

    async def _answer(
        self, request: AskRequest, sampling: Sampling, stop: tuple[str, ...], *, judged: bool
    ) -> AsyncGenerator[Routed | Answer, None]:
        request = with_draft(request)
        question = await self._question(request)
        offers = list(question.offers)
        pocket = Pocket()
        while True:
            offer = best(offers)
            decision = await _decided(question.facts, offer, pocket)
            route = _route(decision)
            if route.kind != "api" or offer is None:
                routed = Routed(route, question.fit, facts=decision.facts)
                yield routed
                here = (
                    self._judged(question, routed, sampling, stop)
                    if judged and self._is_judged(question, route)
                    else self._here(question, sampling, stop)
                )
                async with contextlib.aclosing(here) as events:
                    async for event in events:
                        yield event
                return
            said_nothing = True
            try:
                async with contextlib.aclosing(self._away(request, offer, route, pocket)) as answer:
                    async for piece in answer:
                        if isinstance(piece, Started):
                            yield Routed(route, question.fit, facts=decision.facts)
                        said_nothing = said_nothing and isinstance(piece, Started)
                        yield piece
            except BudgetSpent as spent:  # others were faster: the same question, with that known
                offers = [msgspec.structs.replace(offer, over_budget=spent.message)]
            except ApiFailed as failed:
                offers.remove(offer)
                if not said_nothing or not offers or failed.details.get("offline"):
                    raise
            else:
                return

    async def plan(self, request: AskRequest) -> Plan:
        """Where it would run and what would be sent, without sending it. Raises what `ask` would, before it began.

        What only waits for the user's consent is shown: it is what the user would consent to.
        """
        async with self._using(request.model):
            return await self._planned(await self._question(with_draft(request)))

    async def _planned(self, question: _Question) -> Plan:
        request = question.request
        offer = best(question.offers)
        facts = beside(question.facts, offer)
        consent = facts.api_consent
        if consent == "asked for":
            facts = msgspec.structs.replace(facts, api_consent="given")
        decision = decide(facts)
        if "api_consent" in decision.facts:  # it was supposed, and is told as it is
            decision = decision._replace(facts={**decision.facts, "api_consent": consent})
        route = _route(decision)
        if route.kind != "api" or offer is None:
            prompt = await question.backend.render(ChatPrompt(request.messages))
            return Plan(route, request.messages, question.fit, prompt, facts=decision.facts)
        prepared = await self.egress.prepare(offer, request, self._temperature(request))
        letter, messages = prepared.letter, prepared.redacted.messages
        return Plan(route, messages, offer.fit, letter=letter, consent=consent, facts=decision.facts)

    async def _away(
        self, request: AskRequest, offer: Terms, route: Route, pocket: Pocket
    ) -> AsyncGenerator[Answer, None]:
        prepared = await self.egress.prepare(offer, request, self._temperature(request), route.reason)
        async with contextlib.aclosing(self.egress.send(prepared, await offer.model.key(pocket))) as events:
            async for event in events:
                self.judge.see_elsewhere(request, event)
                yield event

    def _is_judged(self, question: _Question, route: Route) -> bool:
        """JSON that a grammar forces is no sign of what its model thinks, and a team's engine is a larger model."""
        request, facts = question.request, question.facts
        chosen = request.route == "auto" and facts.task_rule != "local" and request.schema is None
        return chosen and (route.kind, route.rule) == ("local", _FITS) and self._settings.api.escalate != "off"

    def _judged(
        self, question: _Question, routed: Routed, sampling: Sampling, stop: tuple[str, ...]
    ) -> AsyncGenerator[Routed | Answer, None]:
        assert question.fit is not None, "what runs here was counted here"
        look = SecondLook(self.judge, self.egress, self._settings, question.request, question.facts, question.fit)
        here = self._here(question, sampling, stop, logprobs=True)
        return look.answer(routed, here, lambda request: self._answer(request, sampling, stop, judged=False))

    def _here(
        self, question: _Question, sampling: Sampling, stop: tuple[str, ...], *, logprobs: bool = False
    ) -> AsyncGenerator[Reading | Started | Delta | Done, None]:
        assert question.fit is not None, "what runs here was counted here"
        if not gate.fits(question.fit):
            messages = question.request.messages
            return LongDocument(question.backend, messages, question.fit.reserved, sampling).answer()
        limits = Limits(max_tokens=question.fit.reserved, stop=stop)
        prompt = ChatPrompt(question.request.messages)
        generate = GenerateRequest(prompt, sampling=sampling, limits=limits, grammar=_grammar(question.request))
        generate = msgspec.structs.replace(generate, logprobs=logprobs)
        return question.backend.generate(generate)

    def _sampling(self, request: AskRequest, top_p: float) -> Sampling:
        """A grammar repeats itself by nature: a penalty on quotes would keep strings from ending."""
        repeat_penalty = request.repeat_penalty
        if repeat_penalty is None:
            repeat_penalty = self._settings.ask.repeat_penalty if request.schema is None else 1.0
        return Sampling(
            temperature=self._temperature(request),
            top_p=top_p,
            repeat_penalty=repeat_penalty,
            repeat_last_n=_PENALTY_WINDOW,
            seed=request.seed,
        )

    def _temperature(self, request: AskRequest) -> float:
        return self._settings.ask.temperature if request.temperature is None else request.temperature

    async def _question(self, request: AskRequest) -> _Question:
        _grammar(request)  # a schema that is none is refused before anything is done
        patterns = self._settings.privacy.private
        private = await asyncio.to_thread(why_private, request.root, request.paths, patterns, request.roots)
        task_rule: TaskRule = self._settings.tasks.get(request.task, "")
        stays = bool(private) or "local" in (request.route, request.route == "auto" and task_rule)
        # A model that is named is one of this machine, and only its engine holds an answer to a grammar.
        here = stays or request.model or request.schema is not None
        backend = self._local if here else self._engine
        info, fit = await self._count(backend, request)
        facts = Facts(
            wanted=request.route,
            fit=fit,
            local_model=info.name if info else "",
            where=info.where if info else "local",
            context_max=info.n_ctx_train if info else 0,
            task=request.task,
            task_rule=task_rule,
            offline=self._settings.offline,
            private=private,
            has_parts=_has_parts(request),
            draft_confidence=request.draft.confidence if request.draft else None,
        )
        models = self._models(request, fit, task_rule)
        facts = before(facts, models, self.egress)
        may_leave = request.route != "local" and not self._settings.offline and not private
        offers = [await self.egress.terms(model, request, fit) for model in models if may_leave]
        return _Question(request, backend, fit, facts, tuple(offers))

    def _models(self, request: AskRequest, fit: Fit | None, task_rule: TaskRule) -> list[ApiModel]:
        """Those that come into question. What plainly stays here is not kept waiting for any network or ledger."""
        asked = request.route in ("api", "think") or (request.route == "auto" and task_rule in ("api", "think"))
        if not asked and fit is not None and gate.fits(fit):
            return []
        think = "think" in (request.route, request.route == "auto" and task_rule)
        return self.egress.candidates("reasoning" if think else "default")

    async def _count(self, backend: Backend, request: AskRequest) -> tuple[ModelInfo | None, Fit | None]:
        """Its model and the exact count; neither where there is no local model but the API may do without."""
        try:
            info = await backend.info()
        except NoModel:
            if request.route in ("api", "think"):
                return None, None
            raise
        while True:
            reserved = gate.reserve(request.max_tokens, info.n_ctx, self._settings.ask.max_tokens)
            fit = await backend.fit(ChatPrompt(request.messages), reserved)
            counted_by, info = info, await backend.info()
            if counted_by.where == info.where:  # a team's engine may have gone in between: another one counted then
                return info, fit


def _grammar(request: AskRequest) -> str:
    return "" if request.schema is None else to_grammar(request.schema)


def _has_parts(request: AskRequest) -> bool:
    """A document and a question about it. What was said before would be lost, and JSON is not made from notes."""
    roles = [message.role for message in request.messages]
    alone = roles in (["user"], ["system", "user"]) and request.schema is None
    return alone and bool(question_in(request.messages[-1].content)[1])


async def _decided(facts: Facts, offer: Terms | None, pocket: Pocket) -> Decision:
    """What the policy says. Raises UsageError where it asks for consent to what lacks its key anyway."""
    decision = decide(beside(facts, offer))
    if offer and isinstance(decision.outcome, IngleError) and "consent" in decision.outcome.details:
        await offer.model.key(pocket)
    return decision


def _route(decision: Decision) -> Route:
    """The route; raises what refuses it, with the reasons."""
    if isinstance(decision.outcome, IngleError):
        decision.outcome.details.update(rule=decision.rule, facts=decision.facts)
        raise decision.outcome
    return decision.outcome
