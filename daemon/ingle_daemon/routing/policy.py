"""The policy: where a request runs. One table, first match wins, pure.

    rule                        wanted      and                                  outcome
    api, offline                api         offline                              RefusedByPrivacy
    api, not configured         api         no [api] url and model               UsageError
    api, no consent             api         [api] allow is not set               RefusedByPrivacy
    api, too large              api         larger than the API's context        DoesNotFit
    api                         api                                              api
    no local model              any                                              NoModel
    fits                        any         it fits the local context            local
    too large, offline          any         offline                              DoesNotFit
    too large, not configured   any         no [api] url and model               DoesNotFit
    too large, no consent       any         [api] allow is not set               DoesNotFit
    too large, for both         any         larger than the API's context        DoesNotFit
    too large, local            local                                            DoesNotFit
    too large                   auto                                             api

Nothing leaves the machine by a rule that is not in this table. The API's tokens are counted with the local
tokenizer: close enough to refuse what cannot fit. This module sends nothing and counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from ingle_daemon.errors import IngleError, NoModel, RefusedByPrivacy, UsageError
from ingle_daemon.protocol import Fit, Route
from ingle_daemon.routing import gate

__all__ = ["RULES", "Facts", "Rule", "decide"]

_INSIST_LESS = "ask without --local to send it to {model}"
_GO_ONLINE = "take out `offline = true` to use a larger model"
_ALLOW = "set `[api] allow = true` to send it to {model}"
_CONFIGURE = "set `[api] url`, `model`, `key_env` and `allow = true` to send it to a larger model"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides. `fit` is None when there is no local model to count with."""

    wanted: Literal["auto", "local", "api"]
    fit: Fit | None
    local_model: str = ""
    where: Literal["local", "remote-engine"] = "local"
    """Where the engine runs that has that model and did the counting."""
    context_max: int = 0
    """The context that the local model was trained for; 0 where it is not known."""
    offline: bool = False
    api_configured: bool = False
    api_allowed: bool = False
    api_model: str = ""
    api_context: int = 0


class Rule(NamedTuple):
    """One row of the table."""

    name: str
    wanted: Literal["any", "auto", "local", "api"]
    when: Callable[[Facts], bool]
    outcome: Callable[[Facts], Route | IngleError]

    def applies(self, facts: Facts) -> bool:
        return self.wanted in ("any", facts.wanted) and self.when(facts)


def decide(facts: Facts) -> Route:
    """Where the request runs. Raises the error of the rule that refuses it."""
    outcome = next(rule for rule in RULES if rule.applies(facts)).outcome(facts)
    if isinstance(outcome, IngleError):
        raise outcome
    return outcome


def _always(facts: Facts) -> bool:
    return True


def _offline(facts: Facts) -> bool:
    return facts.offline


def _not_configured(facts: Facts) -> bool:
    return not facts.api_configured


def _no_consent(facts: Facts) -> bool:
    return not facts.api_allowed


def _too_large_for_api(facts: Facts) -> bool:
    return facts.fit is not None and facts.fit.prompt_tokens + facts.fit.reserved > facts.api_context


def _no_local_model(facts: Facts) -> bool:
    return facts.fit is None


def _fits(facts: Facts) -> bool:
    return facts.fit is not None and gate.fits(facts.fit)


def _local(facts: Facts) -> Route:
    fit = _counted(facts)
    needs = f"{fit.prompt_tokens:,} tokens and {fit.reserved:,} for the answer"
    return Route(facts.where, facts.local_model, f"{needs} fit in {fit.n_ctx:,}")


def _api_as_asked(facts: Facts) -> Route:
    return Route("api", facts.api_model, "asked for")


def _api_for_size(facts: Facts) -> Route:
    fit = _counted(facts)
    count = f"{'' if fit.exact else 'more than '}{fit.prompt_tokens:,}"
    return Route("api", facts.api_model, f"{count} tokens do not fit in the local {fit.n_ctx:,}")


def _refused_offline(facts: Facts) -> IngleError:
    return RefusedByPrivacy(
        "`offline = true` keeps every request on this machine",
        hint="Ask without --api, or take that line out of the configuration.",
    )


def _refused_unconfigured(facts: Facts) -> IngleError:
    return UsageError("no API model is configured", hint="Set `[api] url`, `model`, `key_env` and `allow = true`.")


def _refused_without_consent(facts: Facts) -> IngleError:
    return RefusedByPrivacy(
        f"nothing may be sent to {facts.api_model} yet",
        hint="Set `[api] allow = true` to allow it, or ask without --api.",
    )


def _no_model(facts: Facts) -> IngleError:
    return NoModel("no model is installed", hint="`ingle model pull` fetches one.")


def _too_large(elsewhere: str) -> Callable[[Facts], IngleError]:
    """Too large for the local context; `elsewhere` says what would let it run on another machine."""

    def refuse(facts: Facts) -> IngleError:
        fit = _counted(facts)
        larger = (
            [f"raise `[engine] context` (the model holds up to {facts.context_max:,})"]
            if facts.context_max > fit.n_ctx
            else []
        )
        return gate.does_not_fit(fit, "the local context", *larger, elsewhere.format(model=facts.api_model))

    return refuse


def _too_large_for_both(facts: Facts) -> IngleError:
    fit = msgspec.structs.replace(_counted(facts), n_ctx=facts.api_context)
    return gate.does_not_fit(fit, f"the context of {facts.api_model} (`[api] context`)")


def _counted(facts: Facts) -> Fit:
    assert facts.fit is not None, "the rules before this one need no local model"
    return facts.fit


RULES = (
    Rule("api, offline", "api", _offline, _refused_offline),
    Rule("api, not configured", "api", _not_configured, _refused_unconfigured),
    Rule("api, no consent", "api", _no_consent, _refused_without_consent),
    Rule("api, too large", "api", _too_large_for_api, _too_large_for_both),
    Rule("api", "api", _always, _api_as_asked),
    Rule("no local model", "any", _no_local_model, _no_model),
    Rule("fits", "any", _fits, _local),
    Rule("too large, offline", "any", _offline, _too_large(_GO_ONLINE)),
    Rule("too large, not configured", "any", _not_configured, _too_large(_CONFIGURE)),
    Rule("too large, no consent", "any", _no_consent, _too_large(_ALLOW)),
    Rule("too large, for both", "any", _too_large_for_api, _too_large_for_both),
    Rule("too large, local", "local", _always, _too_large(_INSIST_LESS)),
    Rule("too large", "auto", _always, _api_for_size),
)
