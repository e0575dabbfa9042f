"""The last completions, from the request to what became of it: what `ingle why` shows. In memory only.

It holds the user's code, and so never reaches the disk or the log. It knows neither engine nor editor; the time of
day is passed in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingle_daemon.protocol import CompletionRequest, Delta, Done, InfillPrompt, Outcome, Started

__all__ = ["Traces"]

_KEPT = 64


@dataclass(slots=True)
class _Trace:
    """One completion; without a request it was never asked for, `count` times in a row."""

    at: float
    request: CompletionRequest | None = None
    prompt: InfillPrompt | None = None
    prompt_tokens: int = 0
    text: list[str] = field(default_factory=list)
    done: Done | None = None
    error: str = ""
    outcome: Outcome | None = None
    count: int = 1


class Traces:
    """The last 64 completions, and what was not asked for in between."""

    def __init__(self) -> None:
        self._traces: deque[_Trace] = deque(maxlen=_KEPT)

    def began(self, request: CompletionRequest, prompt: InfillPrompt, at: float) -> None:
        """A request has arrived, and becomes this prompt."""
        self._traces.append(_Trace(at, request, prompt))

    def event(self, request_id: str, event: Started | Delta | Done) -> None:
        """The engine said this."""
        if trace := self._find(request_id):
            if isinstance(event, Started):
                trace.prompt_tokens = event.prompt_tokens
            elif isinstance(event, Delta):
                trace.text.append(event.text)
            else:
                trace.done = event

    def failed(self, request_id: str, code: str) -> None:
        """The request ended with this error's code."""
        if trace := self._find(request_id):
            trace.error = code

    def outcome(self, outcome: Outcome, at: float) -> None:
        """What the editor says became of it."""
        if outcome.kind == "skipped":
            last = self._traces[-1] if self._traces else None
            if last and last.outcome and (last.outcome.kind, last.outcome.by) == ("skipped", outcome.by):
                last.count += 1
                last.at = at
            else:
                self._traces.append(_Trace(at, outcome=outcome))
        elif trace := self._find(outcome.id):
            phases = {**(trace.outcome.phases if trace.outcome else {}), **outcome.phases}
            trace.outcome = msgspec.structs.replace(outcome, phases=phases)

    def recent(self, count: int) -> list[dict[str, Any]]:
        """The newest first, as plain values."""
        return [_plain(trace) for trace in list(self._traces)[: -count - 1 : -1]]

    def newest_prompt(self) -> InfillPrompt | None:
        """Of the newest completion that was asked for."""
        return next((trace.prompt for trace in reversed(self._traces) if trace.prompt), None)

    def _find(self, request_id: str) -> _Trace | None:
        matches = (trace for trace in reversed(self._traces) if trace.request and trace.request.id == request_id)
        return next(matches, None)


def _plain(trace: _Trace) -> dict[str, Any]:
    value: dict[str, Any] = {"at": trace.at, "count": trace.count}
    if trace.outcome:
        value["outcome"] = msgspec.to_builtins(trace.outcome)
    if trace.request is None or trace.prompt is None:
        return value
    request, done = trace.request, trace.done
    pieces = [
        {"source": piece.source, "filename": piece.filename, "characters": len(piece.text)}
        for piece in trace.prompt.extra
    ]
    return {
        **value,
        "id": request.id,
        "filename": request.filename,
        "language": request.language,
        "ahead": request.ahead,
        "characters": {"prefix": len(request.prefix), "suffix": len(request.suffix)},
        "context": pieces,
        "prompt_tokens": trace.prompt_tokens,
        "answer": "".join(trace.text),
        "ended": done.reason if done else trace.error or "by the editor",
        "timings": {name: getattr(done.timings, name) for name in done.timings.__struct_fields__} if done else None,
    }
