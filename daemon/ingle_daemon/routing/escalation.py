"""What becomes of a local answer that has been judged. A table, first match wins, pure. docs/routing.md shows it too.

    rule                        and                                                     outcome
    believed                    its confidence is at least `[api] confidence`           keep
    doubted, off                `[api] escalate = "off"`                                keep
    doubted, offline            offline                                                 keep
    doubted, private            something of the question is private                    keep
    doubted, not configured     no API model in the configuration                       keep
    doubted, forbidden          [api] allow = false                                     keep
    doubted, no consent         nobody said yet that anything may go there              keep
    doubted, too large          larger than the API's context                           keep
    doubted, over budget        the budget is spent                                     keep
    doubted, down               the provider failed several times in a row              keep
    doubted, automatic          `[api] escalate = "auto"`                               escalate
    doubted                     `[api] escalate = "offer"`                              offer

Only answers that the policy chose to make here (rule "fits", without --local) are judged. What the policy would refuse
is neither done nor offered. Where an answer is escalated, the question goes through the policy (`policy.py`) once more,
as one that is asked of the API, with the answer as its draft.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import msgspec

from ingle_daemon.protocol import AskRequest, ChatMessage
from ingle_daemon.routing.policy import AGAINST, Facts, Seen

__all__ = ["RULES", "Doubt", "Mode", "Verdict", "decide", "with_draft"]

Mode = Literal["offer", "auto", "off"]
Outcome = Literal["keep", "offer", "escalate"]

_DISCLOSURE = (
    "The answer above is a draft by a small model on my machine. It may be wrong: {doubts}. Answer my question"
    " yourself, and do not mention the draft."
)


class Doubt(msgspec.Struct, frozen=True):
    """How far a local answer is believed, and what the settings say of that."""

    confidence: float
    threshold: float
    mode: Mode


class Rule(NamedTuple):
    """One row of the table."""

    name: str
    when: Callable[[Doubt, Facts], bool]
    outcome: Outcome


class Verdict(NamedTuple):
    """What becomes of the answer, by which row, and every fact that the rows up to it looked at."""

    outcome: Outcome
    rule: str
    facts: dict[str, Any]


def decide(doubt: Doubt, facts: Facts) -> Verdict:
    """What becomes of the answer. `facts` are those of the question, beside the API model that would be asked."""
    seen = Seen(facts)
    shown = cast("Facts", seen)  # it has every attribute
    rule = next(rule for rule in RULES if rule.when(doubt, shown))
    return Verdict(rule.outcome, rule.name, seen.looked_at)


def with_draft(request: AskRequest) -> AskRequest:
    """The request with its draft told: an answer, and behind it what that is. Nothing is told where there is none."""
    draft = request.draft
    if draft is None:
        return request
    doubts = f"confidence {draft.confidence:.2f}" + "".join(f", {reason}" for reason in draft.reasons)
    told = (ChatMessage("assistant", draft.text), ChatMessage("user", _DISCLOSURE.format(doubts=doubts)))
    return msgspec.structs.replace(request, messages=(*request.messages, *told))


def _because(is_against: Callable[[Facts], bool]) -> Callable[[Doubt, Facts], bool]:
    return lambda _, facts: is_against(facts)


RULES = (
    Rule("believed", lambda doubt, _: doubt.confidence >= doubt.threshold, "keep"),
    Rule("doubted, off", lambda doubt, _: doubt.mode == "off", "keep"),
    *(Rule(f"doubted, {name}", _because(is_against), "keep") for name, is_against in AGAINST),
    Rule("doubted, automatic", lambda doubt, _: doubt.mode == "auto", "escalate"),
    Rule("doubted", lambda *_: True, "offer"),
)
