"""Asks the daemon to fill a hole, reads the answer as it comes, and keeps troubles from being told at every keystroke.

This module knows `/ingle/complete` as the daemon speaks it. It knows no editor, and no clock but the one passed in.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from ingle_daemon import client
from ingle_daemon.errors import Busy, DoesNotFit, IngleError, ModelLoading, NoModel, RefusedByPrivacy
from ingle_daemon.protocol import CompletionRequest
from ingle_lsp.completion.stops import Plan, stop_of

__all__ = ["Answer", "Ask", "Outage", "ask_daemon", "read"]

_PASSING = (Busy, DoesNotFit, ModelLoading, RefusedByPrivacy)  # no news for someone who types
_START_AGAIN_AFTER = 10.0  # seconds

Ask = Callable[[CompletionRequest, bool], AsyncGenerator[dict[str, Any], None]]
"""The daemon's events for a request; the flag says whether to start a daemon that does not run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, cut where it was to end. `score`: the geometric mean of its tokens' probabilities."""

    text: str
    score: float
    stopped: str


def ask_daemon(request: CompletionRequest, autostart: bool) -> AsyncGenerator[dict[str, Any], None]:
    """Closing the generator closes the connection, and with it the request."""
    return client.astream("/ingle/complete", msgspec.to_builtins(request), autostart=autostart)


async def read(
    events: AsyncGenerator[dict[str, Any], None], plan: Plan, line_before: str, so_far: Callable[[str], None]
) -> Answer:
    """The answer, as far as `plan` lets it go; the rest is never generated. `so_far` is told of it as it grows."""
    text = ""
    logprobs: list[float] = []
    async with aclosing(events):
        async for event in events:
            if event["type"] == "done":
                return Answer(text, _score(logprobs), event["reason"])
            if event["type"] != "delta":
                continue
            text += event["text"]
            so_far(text)
            logprobs += event.get("logprobs", ())
            if "\n" in event["text"] and (stop := stop_of(text, plan, line_before)):
                return Answer(text[: stop.at], _score(logprobs), stop.why)
    raise AssertionError("a stream ends with done or with an error")


def _score(logprobs: list[float]) -> float:
    return math.exp(sum(logprobs) / len(logprobs)) if logprobs else 1.0


class Outage:
    """What is wrong with the daemon at present: said once, and over as soon as it answers."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._no_start_before = 0.0

    def may_start(self, now: float) -> bool:
        """Whether to start a daemon that is not running: not at every keystroke once that failed twice."""
        return now >= self._no_start_before

    def began(self, error: IngleError, now: float) -> str:
        """What to tell the user; "" when that was said already or is not worth saying."""
        if isinstance(error, _PASSING) or not self.may_start(now):
            return ""
        if self._told:
            self._no_start_before = now + _START_AGAIN_AFTER
        if error.code in self._told:
            return ""
        self._told.add(error.code)
        hint = error.hint
        if isinstance(error, NoModel):
            hint = f"{hint} In a terminal, `ask` and `ingle model pull` get you a model.".lstrip()
        return f"ingle: {error.message}. {hint}".rstrip()

    def ended(self) -> None:
        """The daemon answered."""
        self._told.clear()
        self._no_start_before = 0.0
