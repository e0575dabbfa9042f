"""Money: what a request may cost at most, what it did cost, and whether a provider's count can be believed. Pure.

Sums are kept in billionths of a dollar, as whole numbers, so that a thousand small ones add up exactly.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ingle_daemon.protocol import Usage

__all__ = [
    "NOTHING",
    "Charge",
    "Estimate",
    "Price",
    "Windows",
    "dollars",
    "estimate",
    "limit_text",
    "nano",
    "settled",
    "windows",
]

NANO = 1_000_000_000
_OTHER_TOKENIZER = 1.3
"""Counted by the local model's tokenizer; another one may need more tokens for the same text."""
_TEMPLATE = 64
"""Tokens that a provider's chat template may add."""
_BYTES_PER_TOKEN = 3
"""Where there is no local model to count with. Fewer than in English prose or code."""
_LONGEST_TOKEN = 128
"""Bytes. An answer of more than so many a token was not counted honestly."""
_DEAREST = 4
"""Times what was asked for: a longer or dearer answer is a mistake of the provider's, or of its list of prices."""


class Price(msgspec.Struct, frozen=True):
    """US dollars a million tokens."""

    per_prompt: float
    per_answer: float


class Estimate(msgspec.Struct, frozen=True):
    """The most that a request may cost. `nano` is None where the price is not known."""

    prompt_tokens: int
    answer_tokens: int
    nano: int | None


class Charge(msgspec.Struct, frozen=True):
    """What a request is charged. `believed` is False where the provider's count was missing or impossible."""

    usage: Usage
    nano: int | None
    believed: bool


NOTHING = Charge(Usage(0, 0, 0.0), 0, believed=True)
"""The provider was not reached, or refused."""


class Windows(msgspec.Struct, frozen=True):
    """When this day and this month began, in seconds since the epoch."""

    day: float
    month: float


def nano(amount: float) -> int:
    """Dollars in billionths, rounded up: a budget is never exceeded by rounding."""
    return math.ceil(round(amount * NANO, 3))


def dollars(amount: int) -> float:
    return amount / NANO


def limit_text(amount: float) -> str:
    """A limit with as many digits as it has, and two at least: it may be less than a cent."""
    whole, _, rest = f"{amount:.9f}".rstrip("0").partition(".")
    return f"${whole}.{rest:0<2}"


def windows(now: float) -> Windows:
    """By the machine's own time zone."""
    today = datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return Windows(today.timestamp(), today.replace(day=1).timestamp())


def estimate(counted: int | None, n_bytes: int, answer_tokens: int, price: Price | None) -> Estimate:
    """`counted`: the prompt in tokens of the local model; None where there is none, and its bytes must do."""
    tokens = math.ceil(n_bytes / _BYTES_PER_TOKEN) if counted is None else math.ceil(counted * _OTHER_TOKENIZER)
    prompt = tokens + _TEMPLATE
    return Estimate(prompt, answer_tokens, None if price is None else _cost(prompt, answer_tokens, price))


def settled(
    reported: Usage | None, reserved: Estimate, price: Price | None, body_bytes: int, answer_bytes: int
) -> Charge:
    """What a request that was answered is charged: what the provider reports if that is possible, else the estimate.

    `answer_bytes` came as an answer, thoughts included; `body_bytes` were sent.
    """
    if reported is None or not _possible(reported, reserved, body_bytes, answer_bytes):
        return unsettled(reserved)
    cost = reported.cost
    if cost is None and price is not None:
        cost = dollars(_cost(reported.prompt_tokens, reported.completion_tokens, price))
    usage = Usage(reported.prompt_tokens, reported.completion_tokens, cost)
    return Charge(usage, None if cost is None else nano(cost), believed=True)


def unsettled(reserved: Estimate) -> Charge:
    """What a request is charged of which nobody knows how far it came."""
    cost = None if reserved.nano is None else dollars(reserved.nano)
    return Charge(Usage(reserved.prompt_tokens, reserved.answer_tokens, cost), reserved.nano, believed=False)


def _cost(prompt: int, answer: int, price: Price) -> int:
    return nano((prompt * price.per_prompt + answer * price.per_answer) / 1e6)


def _possible(reported: Usage, reserved: Estimate, body_bytes: int, answer_bytes: int) -> bool:
    """No token is shorter than a byte or longer than the longest, and nothing costs many times the most it may."""
    if not 0 < reported.prompt_tokens <= body_bytes + _TEMPLATE * 16:
        return False
    if not answer_bytes / _LONGEST_TOKEN <= reported.completion_tokens <= reserved.answer_tokens * _DEAREST:
        return False
    if reported.cost is None:
        return True
    ceiling = math.inf if reserved.nano is None else dollars(reserved.nano) * _DEAREST
    return math.isfinite(reported.cost) and 0 <= reported.cost <= ceiling
