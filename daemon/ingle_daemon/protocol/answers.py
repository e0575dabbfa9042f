"""What comes of a request: the pieces of an answer, its end, what it cost, what is thought of it."""

from __future__ import annotations

from typing import Any, Literal

from ingle_daemon.protocol.values import Value

__all__ = [
    "Begun",
    "Delta",
    "Done",
    "Failed",
    "Judgement",
    "Offer",
    "Started",
    "StopReason",
    "Thinking",
    "Timings",
    "Usage",
]


StopReason = Literal["end", "stop", "limit", "time", "indent", "cancelled"]
"""The last one comes from the worker to the daemon alone: whoever cancelled listens no more."""


class Timings(Value, frozen=True):
    """What one request cost. `cache_n` tokens of the prompt were already evaluated, `prompt_n` were not.

    Of the former, `shelf_n` came back from host memory or disk, and `splice_n` were lent by a sequence with another
    prefix. `pauses`: how often it was passed over for something more urgent.
    """

    cache_n: int = 0
    shelf_n: int = 0
    splice_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    queue_ms: float = 0.0
    pauses: int = 0


class Started(Value, frozen=True, tag="started"):
    """The prompt is counted and accepted."""

    prompt_tokens: int
    n_ctx: int


class Begun(Value, frozen=True, tag="begun"):
    """Something of the prompt is read now. It is counted (`metrics.py`), and no client hears of it."""


class Delta(Value, frozen=True, tag="delta"):
    """More of the answer: whole characters, never a part of a stop string."""

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class Thinking(Value, frozen=True, tag="thinking"):
    """More of what a reasoning model thinks before it answers: never part of the answer."""

    text: str


class Done(Value, frozen=True, tag="done"):
    """The end. `stop` is the stop string that was met. `usage` is set by API models, `timings` by engines.

    `unkept` says why an answer that was to be kept is not. `judgement` is what is thought of a local answer, where the
    policy chose to make it here.
    """

    reason: StopReason
    stop: str = ""
    timings: Timings = Timings()
    usage: Usage | None = None
    unkept: str = ""
    judgement: Judgement | None = None


class Offer(Value, frozen=True):
    """An API model that may be asked instead. `estimate` is the most it may cost, in US dollars, if that is known."""

    model: str
    host: str
    estimate: float | None = None


class Judgement(Value, frozen=True):
    """What is thought of a local answer. It is doubted where `confidence`, that it is right, is below `threshold`.

    `reasons` are what speaks against it, the strongest first; `signs` what was seen of it (routing/confidence.py).
    `rule` is the row of the second table in docs/routing.md that said what becomes of it, `facts` what that looked at.
    With an `offer` its user may have that model asked. `note` says why the model that was to be asked was not.
    """

    confidence: float
    threshold: float
    reasons: tuple[str, ...] = ()
    signs: dict[str, float] = {}
    rule: str = ""
    facts: dict[str, Any] = {}
    offer: Offer | None = None
    note: str = ""


class Failed(Value, frozen=True, tag="failed"):
    """The end, unhappily: `IngleError.to_wire()`."""

    error: dict[str, object]


class Usage(Value, frozen=True):
    """What an API model counted and took. `cost` is in US dollars, None where the price is not known.

    It is what the ledger was charged: where the provider's count cannot be believed, the estimate.
    """

    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
