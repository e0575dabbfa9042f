"""The policy: where a request runs. One table, first match wins, pure. docs/routing.md shows the same one.

    rule                        wanted      and                                                     outcome
    asked, offline              asked       offline                                                 RefusedByPrivacy
    asked, private              asked       something of it is private                              RefusedByPrivacy
    asked, not configured       asked       no such API model in the configuration                  UsageError
    asked, forbidden            asked       [api] allow = false                                     RefusedByPrivacy
    asked, no consent           asked       nobody said yet that anything may go there              RefusedByPrivacy
    asked, too large            asked       larger than the API's context                           DoesNotFit
    asked, over budget, fits    asked       the budget is spent, and it fits the local context      local
    asked, over budget          asked       the budget is spent                                     BudgetSpent
    asked, down                 asked       the provider failed several times in a row              ApiUnreachable
    escalated                   asked       the local answer comes with it, and is doubted          api
    asked                       asked                                                               api
    no local model              any                                                                 NoModel
    task                        auto        [tasks] sends it there, and nothing is against it       api
    fits                        any         it fits the local context                               local
    too large, in parts         any         nothing larger may be asked, and parts of it can be read  local
    too large, offline          any         offline                                                 DoesNotFit
    too large, private          any         something of it is private                              DoesNotFit
    too large, not configured   any         no API model in the configuration                       DoesNotFit
    too large, forbidden        any         [api] allow = false                                     DoesNotFit
    too large, no consent       any         nobody said yet that anything may go there              DoesNotFit
    too large, for both         any         larger than the API's context                           DoesNotFit
    too large, local            local       --local, or [tasks] keeps it here                       DoesNotFit
    too large, over budget      auto        the budget is spent                                     BudgetSpent
    too large, down             auto        the provider failed several times in a row              ApiUnreachable
    too large                   auto                                                                api

"asked" is --api or --think, or the API model in place of a local answer that is doubted (`escalation.py`). Nothing
leaves the machine by a rule that is not in this table. The API's tokens are counted with the local tokenizer: close
enough to refuse what cannot fit. This module sends nothing and counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import msgspec

from ingle_daemon.errors import (
    ApiUnreachable,
    BudgetSpent,
    IngleError,
    NoModel,
    RefusedByPrivacy,
    UsageError,
)
from ingle_daemon.protocol import Fit, Route
from ingle_daemon.routing import gate

__all__ = ["AGAINST", "ESCALATED", "RULES", "Decision", "Facts", "Rule", "Seen", "TaskRule", "decide"]

_INSIST_LESS = "ask without --local to send it to {model}"
_GO_ONLINE = "take out `offline = true` to use a larger model"
_ALLOW = "set `[api] allow = true` to send it to {model}"
_CONSENT = "run `ask` on a terminal, which asks whether it may go to {host}, or set `[api] allow = true`"
_CONFIGURE = "set `[api] url`, `model` and `key`, to send it to a larger model"
_PUBLIC = "leave the private part out to send it to {model}"

ESCALATED = "escalated"
"""The rule of a question whose local answer is doubted."""

Wanted = Literal["auto", "local", "api", "think"]
TaskRule = Literal["", "local", "api", "think"]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides. `fit` is None when there is no local model to count with, `api_fit` likewise."""

    wanted: Wanted
    """What the command line says; what the task's rule says is `task_rule`."""
    fit: Fit | None
    local_model: str = ""
    where: Literal["local", "remote-engine"] = "local"
    """Where the engine runs that has that model and did the counting."""
    has_parts: bool = False
    """It is a document and a question about it, and nothing else: what is too large may be read in parts."""
    context_max: int = 0
    """The context that the local model was trained for; 0 where it is not known."""
    task: str = ""
    task_rule: TaskRule = ""
    offline: bool = False
    private: str = ""
    """Why the request may not leave; "" where nothing of it is private."""
    api_configured: bool = False
    api_consent: Literal["given", "asked for", "refused"] = "asked for"
    """"asked for": the user has not said yet. "refused": the configuration says never."""
    api_model: str = ""
    api_host: str = ""
    api_fit: Fit | None = None
    api_down: str = ""
    """Why nothing is sent there now; "" when something may be."""
    over_budget: str = ""
    """What the budget has against it; "" when it allows it."""
    draft_confidence: float | None = None
    """How far the local answer that comes with it is believed; None where none does."""


class Rule(NamedTuple):
    """One row of the table."""

    name: str
    wanted: Literal["any", "auto", "local", "asked"]
    when: Callable[[Facts], bool]
    outcome: Callable[[Facts], Route | IngleError]

    def applies(self, facts: Facts) -> bool:
        if self.wanted == "asked":
            wanted = facts.wanted in ("api", "think")
        elif self.wanted == "local":
            wanted = facts.wanted == "local" or (facts.wanted == "auto" and facts.task_rule == "local")
        else:
            wanted = self.wanted in ("any", facts.wanted)
        return wanted and self.when(facts)


class Decision(NamedTuple):
    """What was decided, by which row, and every fact that the rows up to it looked at."""

    outcome: Route | IngleError
    rule: str
    facts: dict[str, Any]


def decide(facts: Facts) -> Decision:
    """Where the request runs, or the error that refuses it."""
    seen = Seen(facts)
    shown = cast("Facts", seen)  # it has every attribute
    rule = next(rule for rule in RULES if rule.applies(shown))
    outcome = rule.outcome(shown)
    if isinstance(outcome, Route):
        outcome = msgspec.structs.replace(outcome, rule=rule.name)
    return Decision(outcome, rule.name, seen.looked_at)


class Seen:
    """Facts that remember which of them were looked at."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.looked_at: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = self.looked_at[name] = getattr(self._facts, name)
        return value


def _always(facts: Facts) -> bool:
    return True


def _offline(facts: Facts) -> bool:
    return facts.offline


def _private(facts: Facts) -> bool:
    return bool(facts.private)


def _not_configured(facts: Facts) -> bool:
    return not facts.api_configured


def _forbidden(facts: Facts) -> bool:
    return facts.api_consent == "refused"


def _no_consent(facts: Facts) -> bool:
    return facts.api_consent != "given"


def _too_large_for_api(facts: Facts) -> bool:
    return facts.api_fit is not None and facts.api_fit.prompt_tokens + facts.api_fit.reserved > facts.api_fit.n_ctx


def _over_budget(facts: Facts) -> bool:
    return bool(facts.over_budget)


def _over_budget_but_fits(facts: Facts) -> bool:
    """What was answered here already is not answered here again."""
    return _over_budget(facts) and _fits(facts) and not _has_draft(facts)


def _down(facts: Facts) -> bool:
    return bool(facts.api_down)


def _has_draft(facts: Facts) -> bool:
    return facts.draft_confidence is not None


def _no_local_model(facts: Facts) -> bool:
    return facts.fit is None


def _fits(facts: Facts) -> bool:
    return facts.fit is not None and gate.fits(facts.fit)


def _task_sends_it(facts: Facts) -> bool:
    """A task's rule is a wish, not an order: what is against it keeps the question here."""
    if facts.task_rule not in ("api", "think"):
        return False
    return not any(is_against(facts) for _, is_against in AGAINST)


AGAINST = (
    ("offline", _offline),
    ("private", _private),
    ("not configured", _not_configured),
    ("forbidden", _forbidden),
    ("no consent", _no_consent),
    ("too large", _too_large_for_api),
    ("over budget", _over_budget),
    ("down", _down),
)
"""What keeps a question here that nobody said where to send."""


def _local(facts: Facts) -> Route:
    fit = _counted(facts)
    needs = f"{fit.prompt_tokens:,} tokens and {fit.reserved:,} for the answer"
    return Route(facts.where, facts.local_model, f"{needs} fit in {fit.n_ctx:,}")


def _stays_and_has_parts(facts: Facts) -> bool:
    if not facts.has_parts:
        return False
    kept = facts.wanted == "local" or (facts.wanted == "auto" and facts.task_rule == "local")
    against = (_offline, _private, _not_configured, _forbidden, _too_large_for_api, _over_budget, _down)
    return kept or any(reason(facts) for reason in against)


def _local_in_parts(facts: Facts) -> Route:
    fit = _counted(facts)
    count = f"{'' if fit.exact else 'more than '}{fit.prompt_tokens:,}"
    reason = f"{count} tokens do not fit in {fit.n_ctx:,}, and stay here: read in parts, answered from notes on them"
    return Route(facts.where, facts.local_model, reason, note=reason)


def _local_for_money(facts: Facts) -> Route:
    route = _local(facts)
    return msgspec.structs.replace(route, note=f"answered here, not by {facts.api_model}: {facts.over_budget}")


def _api_as_asked(facts: Facts) -> Route:
    return Route("api", facts.api_model, "asked for")


def _api_for_doubt(facts: Facts) -> Route:
    return Route("api", facts.api_model, f"escalated, confidence {facts.draft_confidence:.2f}")


def _api_for_task(facts: Facts) -> Route:
    return Route("api", facts.api_model, f"[tasks] sends {facts.task} there")


def _api_for_size(facts: Facts) -> Route:
    fit = _counted(facts)
    count = f"{'' if fit.exact else 'more than '}{fit.prompt_tokens:,}"
    return Route("api", facts.api_model, f"{count} tokens do not fit in the local {fit.n_ctx:,}")


def _refused_offline(facts: Facts) -> IngleError:
    return RefusedByPrivacy(
        "`offline = true` keeps every request on this machine",
        hint="Ask without --api, or take that line out of the configuration.",
    )


def _refused_private(facts: Facts) -> IngleError:
    return RefusedByPrivacy(f"nothing of this may leave: {facts.private}", hint="Ask with --local, or leave it out.")


def _refused_unconfigured(facts: Facts) -> IngleError:
    if facts.wanted == "think":
        return UsageError("no reasoning model is configured", hint="Set `[api.reasoning] model`; see docs/routing.md.")
    return UsageError("no API model is configured", hint="Set `[api] url`, `model` and `key`; see docs/routing.md.")


def _refused_forbidden(facts: Facts) -> IngleError:
    return RefusedByPrivacy(
        f"`allow = false` forbids sending anything to {facts.api_model}",
        hint="Take that line out, or ask with --local.",
    )


def _refused_without_consent(facts: Facts) -> IngleError:
    return RefusedByPrivacy(
        f"nothing may be sent to {facts.api_host} yet",
        hint="Run `ask` on a terminal, which asks you once, or set `[api] allow = true`.",
        consent=facts.api_host,
        model=facts.api_model,
    )


def _refused_for_money(facts: Facts) -> IngleError:
    return BudgetSpent(facts.over_budget, hint="Ask for less, or raise the limit in [budget].")


def _refused_down(facts: Facts) -> IngleError:
    return ApiUnreachable(facts.api_down, hint="Ask with --local meanwhile.")


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
        way = elsewhere.format(model=facts.api_model, host=facts.api_host)
        return gate.does_not_fit(fit, "the local context", *larger, way)

    return refuse


def _too_large_without_consent(facts: Facts) -> IngleError:
    error = _too_large(_CONSENT)(facts)
    error.details.update(consent=facts.api_host, model=facts.api_model)
    return error


def _too_large_for_both(facts: Facts) -> IngleError:
    assert facts.api_fit is not None, "it was compared"
    return gate.does_not_fit(facts.api_fit, f"the context of {facts.api_model} (`[api] context`)")


def _counted(facts: Facts) -> Fit:
    assert facts.fit is not None, "the rules before this one need no local model"
    return facts.fit


RULES = (
    Rule("asked, offline", "asked", _offline, _refused_offline),
    Rule("asked, private", "asked", _private, _refused_private),
    Rule("asked, not configured", "asked", _not_configured, _refused_unconfigured),
    Rule("asked, forbidden", "asked", _forbidden, _refused_forbidden),
    Rule("asked, no consent", "asked", _no_consent, _refused_without_consent),
    Rule("asked, too large", "asked", _too_large_for_api, _too_large_for_both),
    Rule("asked, over budget, fits", "asked", _over_budget_but_fits, _local_for_money),
    Rule("asked, over budget", "asked", _over_budget, _refused_for_money),
    Rule("asked, down", "asked", _down, _refused_down),
    Rule(ESCALATED, "asked", _has_draft, _api_for_doubt),
    Rule("asked", "asked", _always, _api_as_asked),
    Rule("no local model", "any", _no_local_model, _no_model),
    Rule("task", "auto", _task_sends_it, _api_for_task),
    Rule("fits", "any", _fits, _local),
    Rule("too large, in parts", "any", _stays_and_has_parts, _local_in_parts),
    Rule("too large, offline", "any", _offline, _too_large(_GO_ONLINE)),
    Rule("too large, private", "any", _private, _too_large(_PUBLIC)),
    Rule("too large, not configured", "any", _not_configured, _too_large(_CONFIGURE)),
    Rule("too large, forbidden", "any", _forbidden, _too_large(_ALLOW)),
    Rule("too large, no consent", "any", _no_consent, _too_large_without_consent),
    Rule("too large, for both", "any", _too_large_for_api, _too_large_for_both),
    Rule("too large, local", "local", _always, _too_large(_INSIST_LESS)),
    Rule("too large, over budget", "auto", _over_budget, _refused_for_money),
    Rule("too large, down", "auto", _down, _refused_down),
    Rule("too large", "auto", _always, _api_for_size),
)
