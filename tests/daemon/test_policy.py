"""The policy: every row of its table, and what no row may ever do."""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest

from ingle_daemon.errors import DoesNotFit, IngleError, NoModel, RefusedByPrivacy, UsageError
from ingle_daemon.protocol import Fit, Route
from ingle_daemon.routing import policy
from ingle_daemon.routing.policy import Facts, decide

SMALL, LARGE, HUGE = Fit(100, 512, 2048), Fit(5000, 512, 2048), Fit(200_000, 512, 2048, exact=False)
OPEN = Facts(
    wanted="auto",
    fit=SMALL,
    local_model="tiny",
    context_max=2048,
    api_configured=True,
    api_allowed=True,
    api_model="big",
    api_context=128_000,
)


def facts(**changes: object) -> Facts:
    return msgspec.structs.replace(OPEN, **changes)


def attempt(combination: Facts) -> Route | IngleError:
    try:
        return decide(combination)
    except IngleError as error:
        return error


def test_the_docstring_shows_the_table_that_the_code_runs() -> None:
    table = re.findall(r"^    (\S.*?) {2,}(auto|local|api|any) .*?(\w+)$", policy.__doc__ or "", re.MULTILINE)
    assert [row[:2] for row in table] == [(rule.name, rule.wanted) for rule in policy.RULES]
    reached = {rule.name: _outcome(rule) for rule in policy.RULES}
    assert [row[2] for row in table] == [reached[rule.name] for rule in policy.RULES]


def _outcome(rule: policy.Rule) -> str:
    """What the first combination of facts that meets this rule ends in."""
    for combination in COMBINATIONS:
        if next(candidate for candidate in policy.RULES if candidate.applies(combination)) is rule:
            outcome = rule.outcome(combination)
            return outcome.kind if isinstance(outcome, Route) else type(outcome).__name__
    raise AssertionError(f"no facts lead to the rule {rule.name!r}")


COMBINATIONS = [
    facts(wanted=wanted, fit=fit, offline=offline, api_configured=configured, api_allowed=allowed)
    for wanted, fit, offline, configured, allowed in itertools.product(
        ("auto", "local", "api"), (None, SMALL, LARGE, HUGE), *[(False, True)] * 3
    )
]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_nothing_leaves_without_consent_and_nothing_is_cut(combination: Facts) -> None:
    outcome = attempt(combination)
    if isinstance(outcome, IngleError):
        assert outcome.hint
    elif outcome.kind == "api":
        assert combination.wanted != "local"
        assert not combination.offline
        assert combination.api_configured
        assert combination.api_allowed
    else:
        assert combination.fit == SMALL


def test_what_fits_stays_local_even_where_the_api_is_allowed() -> None:
    assert decide(OPEN) == Route("local", "tiny", "100 tokens and 512 for the answer fit in 2,048")


def test_what_does_not_fit_goes_to_the_api_that_is_allowed() -> None:
    assert decide(facts(fit=LARGE)) == Route("api", "big", "5,000 tokens do not fit in the local 2,048")


def test_the_api_can_be_asked_for_without_a_local_model() -> None:
    assert decide(facts(wanted="api", fit=None)) == Route("api", "big", "asked for")


def test_without_a_local_model_nothing_is_sent_unasked() -> None:
    with pytest.raises(NoModel, match="no model is installed"):
        decide(facts(fit=None))


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"offline": True}, "offline = true"),
        ({"api_configured": False}, "[api] url"),
        ({"api_allowed": False}, "[api] allow = true"),
        ({"wanted": "local"}, "ask without --local"),
        ({"api_configured": False, "context_max": 8192}, "raise `[engine] context` (the model holds up to 8,192)"),
    ],
)
def test_too_large_says_what_to_change(changes: dict[str, object], hint: str) -> None:
    with pytest.raises(DoesNotFit) as caught:
        decide(facts(fit=LARGE, **changes))
    assert hint in caught.value.hint
    assert "Shorten it by 3,464 tokens" in caught.value.hint
    assert caught.value.details == {"n_prompt_tokens": 5000, "n_reserved": 512, "n_ctx": 2048}


@pytest.mark.parametrize("wanted", ["auto", "local", "api"])
def test_too_large_for_the_api_as_well_gives_its_numbers(wanted: str) -> None:
    with pytest.raises(DoesNotFit, match=r"more than 200,000 tokens .* context of big .* holds 128,000"):
        decide(facts(wanted=wanted, fit=HUGE))


@pytest.mark.parametrize(
    ("changes", "kind", "exit_code"),
    [
        ({"offline": True, "api_configured": False}, RefusedByPrivacy, 8),
        ({"api_configured": False}, UsageError, 2),
        ({"api_allowed": False}, RefusedByPrivacy, 8),
    ],
)
def test_insisting_on_the_api_is_refused_where_it_may_not_be(
    changes: dict[str, object], kind: type[IngleError], exit_code: int
) -> None:
    with pytest.raises(kind) as caught:
        decide(facts(wanted="api", **changes))
    assert caught.value.exit_code == exit_code
