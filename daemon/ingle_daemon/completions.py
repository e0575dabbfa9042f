"""Completions as ingle's own editors ask for them: from a hole in a file to the engine, and a trace of each.

It knows the backend's seam and no HTTP. Completions are never routed: they stay on this machine.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import IngleError, RefusedByPrivacy
from ingle_daemon.protocol import (
    CompletionRequest,
    Delta,
    Done,
    GenerateRequest,
    InfillPrompt,
    Limits,
    Outcome,
    Sampling,
    Started,
)
from ingle_daemon.surroundings import Surroundings
from ingle_daemon.traces import Traces
from ingle_daemon.workspace.ignore import is_secret

__all__ = ["Completions"]


class Completions:
    """What editors ask of the daemon. Without `surroundings` a prompt holds what its request does."""

    def __init__(self, backend: Backend, surroundings: Surroundings | None) -> None:
        self._backend = backend
        self._surroundings = surroundings
        self._traces = Traces()

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        """The engine's events. Closing the generator cancels the request."""
        if is_secret(request.filename):
            raise RefusedByPrivacy(f"{request.filename} looks like a file of secrets: no model reads it")
        context = request.context
        if self._surroundings:
            context = (*context, *await self._surroundings.of(request))
        prompt = InfillPrompt(request.prefix, request.suffix, context, request.filename, request.repo)
        self._traces.began(request, prompt, time.time())
        try:
            async with aclosing(self._backend.generate(_to_engine(request, prompt))) as events:
                async for event in events:
                    self._traces.event(request.id, event)
                    yield event
            if self._surroundings and not request.ahead:
                self._surroundings.look_again(request)
        except IngleError as error:
            self._traces.failed(request.id, error.code)
            raise

    async def close(self) -> None:
        """Stop what goes on in the background."""
        if self._surroundings:
            await self._surroundings.close()

    def outcomes(self, outcomes: Iterable[Outcome]) -> None:
        """What became of earlier ones."""
        for outcome in outcomes:
            self._traces.outcome(outcome, time.time())

    async def why(self, count: int, *, with_prompt: bool) -> dict[str, Any]:
        """The last `count` completions, the newest first; with the newest one's prompt as the model got it."""
        answer: dict[str, Any] = {"completions": self._traces.recent(count)}
        if with_prompt and (prompt := self._traces.newest_prompt()):
            answer["prompt"] = await self._backend.render(prompt)
        return answer


def _to_engine(request: CompletionRequest, prompt: InfillPrompt) -> GenerateRequest:
    return GenerateRequest(
        prompt=prompt,
        priority="warm-up" if request.ahead else "completion",
        sampling=Sampling(temperature=0),
        limits=Limits(max_tokens=request.max_tokens, time_ms=request.time_ms, min_indent=request.min_indent),
        logprobs=True,
    )
