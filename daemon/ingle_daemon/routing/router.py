"""From a question to the model that answers it: count, decide, run. States the route before anything else.

The decision is `policy.decide`'s alone; this module gathers the facts it needs and runs what it says. It knows
backends by their seam, no HTTP shape, and no llama.cpp.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import Settings
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
    """Sends each question where the policy says."""

    def __init__(self, engine: Backend, local: Backend, settings: Settings) -> None:
        """`engine` answers what may go to the team's engine, where there is one; `local` is always this machine."""
        self._engine = engine
        self._local = local
        self._settings = settings
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
        prompt = ChatPrompt(request.messages)
        info, fit = await self._count(prompt, request)
        route = decide(self._facts(request, info, fit))
        yield Routed(route, fit)
        temperature = request.temperature
        if temperature is None:
            temperature = self._settings.ask.temperature
        reserved = fit.reserved if fit else gate.reserve(request.max_tokens, self._settings.api.context, self._default)
        if route.kind == "api":
            events = self._api.generate(request.messages, max_tokens=reserved, temperature=temperature)
        else:
            sampling = Sampling(
                temperature=temperature,
                top_p=top_p,
                repeat_penalty=self._settings.ask.repeat_penalty if repeat_penalty is None else repeat_penalty,
                repeat_last_n=_PENALTY_WINDOW,
                seed=request.seed,
            )
            limits = Limits(max_tokens=reserved, stop=stop)
            events = self._chosen(request).generate(GenerateRequest(prompt, sampling=sampling, limits=limits))
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    def _chosen(self, request: AskRequest) -> Backend:
        return self._local if request.route == "local" else self._engine

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
