"""From a question to the model that answers it: count, decide, run. States the route before anything else.

The decision is `policy.decide`'s alone; this module gathers the facts it needs and runs what it says. It knows
backends by their seam, no HTTP shape, and no llama.cpp.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import Settings
from ingle_daemon.engine.schema import to_grammar
from ingle_daemon.errors import NoModel
from ingle_daemon.protocol import (
    AskRequest,
    ChatPrompt,
    Delta,
    Done,
    Fit,
    GenerateRequest,
    Limits,
    ModelInfo,
    Plan,
    Routed,
    Sampling,
    Started,
)
from ingle_daemon.routing import gate
from ingle_daemon.routing.policy import Facts, decide

__all__ = ["Router"]

_PENALTY_WINDOW = 256
"""Tokens back to which a repetition counts: a few times the line that a small model repeats."""


class Router:
    """Sends each question where the policy says. `using` keeps the local model that a question names loaded."""

    def __init__(
        self,
        engine: Backend,
        local: Backend,
        settings: Settings,
        using: Callable[[str], AbstractAsyncContextManager[None]] = lambda _: contextlib.nullcontext(),
    ) -> None:
        """`engine` answers what may go to the team's engine, where there is one; `local` is always this machine."""
        self._engine = engine
        self._local = local
        self._settings = settings
        self._using = using
        self._api = ApiModel(settings.api)

    async def ask(
        self,
        request: AskRequest,
        *,
        top_p: float = 0.95,
        repeat_penalty: float | None = None,
        stop: tuple[str, ...] = (),
    ) -> AsyncGenerator[Routed | Started | Delta | Done, None]:
        """Routed, Started, Delta …, Done. Raises what the policy refuses with, and the model's own errors.

        What is None is taken from the settings.
        """
        grammar = to_grammar(request.schema) if request.schema is not None else ""
        async with (
            self._using(request.model),
            contextlib.aclosing(self._answer(request, grammar, top_p, repeat_penalty, stop)) as events,
        ):
            async for event in events:
                yield event

    async def plan(self, request: AskRequest) -> Plan:
        """Where it would run and what would be sent. Raises what `ask` would, before it began."""
        if request.schema is not None:
            to_grammar(request.schema)
        prompt = ChatPrompt(request.messages)
        async with self._using(request.model):
            info, fit = await self._count(prompt, request)
            route = decide(self._facts(request, info, fit))
            text = await self._local.render(prompt) if route.kind == "local" else ""
        return Plan(route, request.messages, fit, text)

    async def _answer(
        self, request: AskRequest, grammar: str, top_p: float, repeat_penalty: float | None, stop: tuple[str, ...]
    ) -> AsyncGenerator[Routed | Started | Delta | Done, None]:
        prompt = ChatPrompt(request.messages)
        info, fit = await self._count(prompt, request)
        route = decide(self._facts(request, info, fit))
        yield Routed(route, fit)
        temperature = request.temperature
        if temperature is None:
            temperature = self._settings.ask.temperature
        reserved = fit.reserved if fit else gate.reserve(request.max_tokens, self._settings.api.context, self._default)
        if route.kind == "api":
            events = self._api.generate(
                request.messages, max_tokens=reserved, temperature=temperature, schema=request.schema
            )
        else:
            sampling = Sampling(
                temperature=temperature,
                top_p=top_p,
                repeat_penalty=self._penalty(repeat_penalty, grammar),
                repeat_last_n=_PENALTY_WINDOW,
                seed=request.seed,
            )
            limits = Limits(max_tokens=reserved, stop=stop)
            generate = GenerateRequest(prompt, sampling=sampling, limits=limits, grammar=grammar)
            events = self._chosen(request).generate(generate)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    def _chosen(self, request: AskRequest) -> Backend:
        """A model that is named is one of this machine, and only its engine holds an answer to a grammar."""
        here = request.route == "local" or request.model or request.schema is not None
        return self._local if here else self._engine

    def _penalty(self, wanted: float | None, grammar: str) -> float:
        """A grammar repeats itself by nature: a penalty on quotes would keep strings from ending."""
        if wanted is not None or grammar:
            return wanted or 1.0
        return self._settings.ask.repeat_penalty

    @property
    def _default(self) -> int:
        return self._settings.ask.max_tokens

    async def _count(self, prompt: ChatPrompt, request: AskRequest) -> tuple[ModelInfo | None, Fit | None]:
        """The local model and the exact count; neither where there is no local model but the API may do without."""
        try:
            info = await self._chosen(request).info()
        except NoModel:
            if request.route == "api":
                return None, None
            raise
        reserved = gate.reserve(request.max_tokens, info.n_ctx, self._default)
        return info, await self._chosen(request).fit(prompt, reserved)

    def _facts(self, request: AskRequest, info: ModelInfo | None, fit: Fit | None) -> Facts:
        api = self._settings.api
        return Facts(
            wanted=request.route,
            fit=fit,
            local_model=info.name if info else "",
            where=info.where if info else "local",
            context_max=info.n_ctx_train if info else 0,
            offline=self._settings.offline,
            api_configured=bool(api.url and api.model),
            api_allowed=api.allow,
            api_model=api.model,
            api_context=api.context,
        )
