"""The exact gate: does a prompt fit, with the answer it needs? Pure arithmetic on counts of tokens.

Whoever calls has counted with the loaded tokenizer, chat template included. This module knows no tokenizer
and nothing of routes; it never shortens anything.
"""

from __future__ import annotations

from ingle_daemon.errors import DoesNotFit
from ingle_daemon.protocol import Fit

__all__ = ["does_not_fit", "fits", "reserve"]

_DEFAULT_SHARE = 4  # of the context, an answer whose length nobody asked for may claim one part in so many


def reserve(max_tokens: int | None, n_ctx: int, default: int) -> int:
    """Tokens to keep free for the answer: as many as were asked for, else the default, within its share."""
    if max_tokens is not None:
        return max_tokens
    return max(1, min(default, n_ctx // _DEFAULT_SHARE))


def fits(fit: Fit) -> bool:
    """Whether prompt and answer fit. A prompt too large to be counted exactly does not."""
    return fit.exact and fit.prompt_tokens + fit.reserved <= fit.n_ctx


def does_not_fit(fit: Fit, where: str, *ways: str) -> DoesNotFit:
    """The error with the numbers. `where`: whose context it is; `ways`: what helps besides shortening."""
    count = f"{'' if fit.exact else 'more than '}{fit.prompt_tokens:,}"
    return DoesNotFit(
        f"the question takes {count} tokens and {fit.reserved:,} are kept for the answer; {where} holds {fit.n_ctx:,}",
        hint=_sentence([_shorten(fit), *ways]),
        n_prompt_tokens=fit.prompt_tokens,
        n_reserved=fit.reserved,
        n_ctx=fit.n_ctx,
    )


def _shorten(fit: Fit) -> str:
    excess = fit.prompt_tokens + fit.reserved - fit.n_ctx
    return f"shorten it by {excess:,} tokens" if fit.exact else "send much less of it"


def _sentence(ways: list[str]) -> str:
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."
