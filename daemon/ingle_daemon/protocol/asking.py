"""Questions to the daemon: where they run, what they hold, what is told while they are answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ingle_daemon.protocol.answers import Delta, Done, Failed, Started, Thinking
from ingle_daemon.protocol.conversations import Keep
from ingle_daemon.protocol.prompts import ChatMessage
from ingle_daemon.protocol.values import Count, Seed, Value

__all__ = [
    "AnswerFate",
    "AnswerOutcome",
    "AskRequest",
    "Draft",
    "Drafting",
    "Event",
    "Fit",
    "Letter",
    "Plan",
    "Reading",
    "Route",
    "RouteKind",
    "Routed",
]


RouteKind = Literal["local", "remote-engine", "api"]


class Route(Value, frozen=True):
    """Where a request runs, and why. `rule` is the row of the policy's table.

    `note` is said to the user even when nobody asks why: that it does not run where it was meant to.
    """

    kind: RouteKind
    model: str
    reason: str
    rule: str = ""
    note: str = ""


class Routed(Value, frozen=True, tag="routed"):
    """The first event of every answer to `/ingle/ask`. `facts`: every fact that the decision used, by its name.

    `conversation` is the number of the one that it is kept in, or 0. A second one follows where the first provider
    failed before it said anything, and another one is asked.
    """

    route: Route
    fit: Fit | None = None
    conversation: int = 0
    facts: dict[str, Any] = {}


class Fit(Value, frozen=True):
    """Tokens: what the prompt needs, what is kept for the answer, what the context holds.

    `exact` is False when the prompt is so large that only a lower bound was counted.
    """

    prompt_tokens: int
    reserved: int
    n_ctx: int
    exact: bool = True


class Reading(Value, frozen=True, tag="reading"):
    """A document too large for the context is read in parts: this is number `part` of `parts`; it has `of` in all.

    `left_s`: seconds until all is read. With the first part a guess, by the speed that was measured when the model was
    loaded; with the others by what those before them took. None where neither is known.
    """

    part: int
    parts: int
    of: int
    left_s: float | None = None


class Drafting(Value, frozen=True, tag="drafting"):
    """A local answer is being made that is judged before it is shown; it has `tokens` now."""

    tokens: int


class Draft(Value, frozen=True, forbid_unknown_fields=True):
    """A local answer that is doubted, and why: it goes along to the model that is asked instead."""

    text: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reasons: tuple[str, ...] = ()


class AskRequest(Value, frozen=True, forbid_unknown_fields=True):
    """`POST /ingle/ask`. Answered by one JSON event a line: Routed, Delta …, then Done or Failed.

    `route`: "auto" lets the policy choose; "local", "api" and "think" (the reasoning model) insist. `model` is an
    installed one for this question; "" is the current one. With a `schema` (JSON schema) the answer is JSON that
    follows it. With `keep` the messages are the instructions, if any, and one question; without it nothing is kept.
    `task` names what the question is for: the settings may have a rule for it. `root` is the folder it is asked in,
    `paths` are the files whose text it holds: both may be private, and so may `roots`, where what was said before was
    asked. `id` is the client's own and names the answer in an `AnswerOutcome`; without one nothing is learned from it.
    `draft` is the local answer to the same question, where "api" is asked because of it. What is None is taken from the
    settings.
    """

    messages: tuple[ChatMessage, ...]
    route: Literal["auto", "local", "api", "think"] = "auto"
    max_tokens: Count | None = None
    temperature: float | None = None
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0)] | None = None
    seed: Seed | None = None
    model: str = ""
    schema: dict[str, Any] | None = None
    keep: Keep | None = None
    task: str = ""
    root: str = ""
    paths: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    draft: Draft | None = None


AnswerFate = Literal["kept", "declined", "ran", "failed", "escalated", "automatic", "retried"]
"""kept: it was copied, or its code taken. declined: a larger model was offered, and not wanted. ran, failed: its
command was run, and its exit code was 0 or not. escalated: a larger model was asked by a key; automatic: by the
settings; retried: by the same question once more."""


class AnswerOutcome(Value, frozen=True, forbid_unknown_fields=True):
    """What became of a local answer, as its client tells it (`POST /ingle/answers`).

    "handed": its command was handed to the shell of `terminal`. Without an `id` it is the answer that was handed there.
    """

    fate: AnswerFate | Literal["handed"]
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    terminal: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Letter(Value, frozen=True):
    """What would leave the machine, to the byte: `body` is UTF-8. `redactions` counts what was hidden, by kind.

    `estimate` is the most it may cost, in US dollars; None where the price is not known.
    """

    destination: str
    url: str
    model: str
    body: str
    sha256: str
    redactions: dict[str, int]
    estimate: float | None = None


class Plan(Value, frozen=True):
    """`POST /ingle/route`, the answer to an AskRequest that is not asked: where it would run, and what would be sent.

    `prompt` is what the local model would read, its special tokens spelled out; `letter` what an API model would get,
    and `consent` whether the user has allowed that yet. `facts`: every fact that the decision used.
    """

    route: Route
    messages: tuple[ChatMessage, ...]
    fit: Fit | None = None
    prompt: str = ""
    letter: Letter | None = None
    consent: str = ""
    facts: dict[str, Any] = {}


Event = Routed | Reading | Drafting | Started | Thinking | Delta | Done | Failed
