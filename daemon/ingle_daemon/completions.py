"""Completions as ingle's own editors ask for them: from a hole in a file to the engine, and a trace of each.

It knows the backend's seam and no HTTP. Completions are never routed: they stay on this machine.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import IngleError, RefusedByPrivacy, UsageError
from ingle_daemon.journal.outcomes import Outcomes
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

_log = logging.getLogger(__name__)
_DAY = 24 * 3600.0


class Completions:
    """What editors ask of the daemon."""

    def __init__(self, backend: Backend, surroundings: Surroundings, journal: Outcomes) -> None:
        self._backend = backend
        self._journal = journal
        self._surroundings = surroundings
        self._traces = Traces()

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        """The engine's events. Closing the generator cancels the request."""
        if is_secret(request.filename):
            raise RefusedByPrivacy(f"{request.filename} looks like a file of secrets: no model reads it")
        context = await self._surroundings.of(request)
        prompt = InfillPrompt(request.prefix, request.suffix, context, request.filename, request.repo)
        self._traces.began(request, prompt, time.time())
        try:
            async with aclosing(self._backend.generate(_to_engine(request, prompt))) as events:
                async for event in events:
                    self._traces.event(request.id, event)
                    yield event
            if not request.ahead:
                self._surroundings.look_again(request)
        except IngleError as error:
            self._traces.failed(request.id, error.code)
            raise

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._surroundings.close()

    async def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What became of earlier ones."""
        for outcome in outcomes:
            self._traces.outcome(outcome, time.time())
        try:
            await asyncio.to_thread(self._journal.add, outcomes, time.time())
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            _log.warning("outcomes are not written down", extra={"error": type(error).__name__})

    async def stats(self, days: float) -> dict[str, Any]:
        """What became of the completions of the last `days`. Raises UsageError where the journal cannot be read."""
        try:
            return await asyncio.to_thread(self._journal.stats, time.time() - days * _DAY)
        except (OSError, sqlite3.Error) as exc:
            raise UsageError(f"the journal cannot be read: {exc}", hint="Check the disk and its permissions.") from exc

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
        sampling=Sampling(temperature=request.temperature, seed=request.seed),
        limits=Limits(max_tokens=request.max_tokens, time_ms=request.time_ms, min_indent=request.min_indent),
        logprobs=True,
    )
