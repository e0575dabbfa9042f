"""The policy: every row of its table, what the documents say of it, and what no row may ever do."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingle_daemon.errors import (
    ApiUnreachable,
    BudgetSpent,
    DoesNotFit,
    IngleError,
    NoModel,
    RefusedByPrivacy,
    UsageError,
)
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
    api_consent="given",
    api_model="big",
    api_host="far.example",
)
DOCUMENT = Path(__file__).parents[2] / "docs/routing.md"


def facts(**changes: Any) -> Facts:
    """OPEN with changes; a prompt is as long for the API as it is here."""
    fit = changes.get("fit", OPEN.fit)
    api_fit = msgspec.structs.replace(fit, n_ctx=128_000) if fit else None
    return msgspec.structs.replace(OPEN, **{"api_fit": api_fit, **changes})


def attempt(combination: Facts) -> Route | IngleError:
    return decide(combination).outcome


def refused(combination: Facts) -> IngleError:
    outcome = attempt(combination)
    assert isinstance(outcome, IngleError)
    return outcome


COMBINATIONS = [
    facts(
        wanted=wanted, fit=fit, offline=offline, private=private, api_configured=configured, api_consent=consent,
        over_budget=budget, api_down=down, task_rule=task, task=task and "review", has_parts=parts,
    )
    for wanted, fit, offline, private, configured, consent, budget, down, task, parts in itertools.product(
        ("auto", "local", "api", "think"), (None, SMALL, LARGE, HUGE), (False, True), ("", "it is a secret"),
        (False, True), ("given", "asked for", "refused"), ("", "all is spent"), ("", "it is down"),
        ("", "local", "api"), (False, True),
    )
]  # fmt: skip
COMBINATIONS += [
    facts(
        wanted="api", fit=fit, offline=offline, private=private, api_consent=consent, over_budget=budget,
        draft_confidence=0.34,
    )
    for fit, offline, private, consent, budget in itertools.product(
        (SMALL, LARGE), (False, True), ("", "it is a secret"), ("given", "asked for", "refused"), ("", "all is spent")
    )
]  # fmt: skip


def test_the_docstring_shows_the_table_that_the_code_runs() -> None:
    table = re.findall(r"^    (\S.*?) {2,}(auto|local|asked|any) .*?(\w+)$", policy.__doc__ or "", re.MULTILINE)
    assert [row[:2] for row in table] == [(rule.name, rule.wanted) for rule in policy.RULES]
    reached = {rule.name: _outcome(rule) for rule in policy.RULES}
    assert [row[2] for row in table] == [reached[rule.name] for rule in policy.RULES]


def test_the_document_shows_the_same_table() -> None:
    code = re.findall(r"^    (\S.*?) {2,}(auto|local|asked|any) +(.*?) *(\w+)$", policy.__doc__ or "", re.MULTILINE)
    table = DOCUMENT.read_text().partition("## After a local answer")[0]
    document = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\| `?(\w+)`? \|$", table, re.MULTILINE)
    assert [row for row in document if row[0] != "rule"] == code


def _outcome(rule: policy.Rule) -> str:
    """What the first combination of facts that meets this rule ends in."""
    for combination in COMBINATIONS:
        if next(candidate for candidate in policy.RULES if candidate.applies(combination)) is rule:
            outcome = rule.outcome(combination)
            return outcome.kind if isinstance(outcome, Route) else type(outcome).__name__
    raise AssertionError(f"no facts lead to the rule {rule.name!r}")


def test_nothing_leaves_without_consent_and_nothing_is_cut() -> None:
    assert len(COMBINATIONS) > 4000
    for combination in COMBINATIONS:
        outcome = attempt(combination)
        if isinstance(outcome, IngleError):
            assert outcome.hint, combination
        elif outcome.kind == "api":
            assert combination.wanted != "local"
            assert not (combination.wanted == "auto" and combination.task_rule == "local")
            assert combination.api_configured
            assert combination.api_consent == "given"
            assert not combination.offline
            assert not combination.private
            assert not combination.over_budget
            assert not combination.api_down
        else:
            assert combination.fit == SMALL or combination.has_parts


def test_what_fits_stays_local_even_where_the_api_is_allowed() -> None:
    assert attempt(facts()) == Route("local", "tiny", "100 tokens and 512 for the answer fit in 2,048", "fits")


def test_what_does_not_fit_goes_to_the_api_that_is_allowed() -> None:
    reason = "5,000 tokens do not fit in the local 2,048"
    assert attempt(facts(fit=LARGE)) == Route("api", "big", reason, "too large")


@pytest.mark.parametrize("wanted", ["api", "think"])
def test_the_api_can_be_asked_for_without_a_local_model(wanted: str) -> None:
    assert attempt(facts(wanted=wanted, fit=None)) == Route("api", "big", "asked for", "asked")


def test_without_a_local_model_nothing_is_sent_unasked() -> None:
    assert isinstance(refused(facts(fit=None)), NoModel)


def test_a_decision_comes_with_the_facts_it_used_and_no_others() -> None:
    decision = decide(facts(wanted="api"))
    assert decision.rule == "asked"
    assert decision.facts["offline"] is False
    assert decision.facts["private"] == ""
    assert "task_rule" not in decision.facts
    assert "context_max" not in decision.facts


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"offline": True}, "offline = true"),
        ({"private": "x.sql is private"}, "leave the private part out"),
        ({"api_configured": False}, "[api] url"),
        ({"api_consent": "refused"}, "[api] allow = true"),
        ({"api_consent": "asked for"}, "whether it may go to far.example"),
        ({"wanted": "local"}, "ask without --local"),
        ({"task_rule": "local"}, "ask without --local"),
        ({"api_configured": False, "context_max": 8192}, "raise `[engine] context` (the model holds up to 8,192)"),
    ],
)
def test_too_large_says_what_to_change(changes: dict[str, object], hint: str) -> None:
    error = refused(facts(fit=LARGE, **changes))
    assert isinstance(error, DoesNotFit)
    assert hint in error.hint
    assert "Shorten it by 3,464 tokens" in error.hint
    assert error.details["n_prompt_tokens"] == 5000


@pytest.mark.parametrize("wanted", ["auto", "local", "api"])
def test_too_large_for_the_api_as_well_gives_its_numbers(wanted: str) -> None:
    error = refused(facts(wanted=wanted, fit=HUGE))
    assert re.match(r".*more than 200,000 tokens .* context of big .* holds 128,000", error.message)


@pytest.mark.parametrize(
    ("changes", "kind", "exit_code"),
    [
        ({"offline": True, "api_configured": False}, RefusedByPrivacy, 8),
        ({"private": "x.sql is private"}, RefusedByPrivacy, 8),
        ({"api_configured": False}, UsageError, 2),
        ({"api_consent": "refused"}, RefusedByPrivacy, 8),
        ({"api_consent": "asked for"}, RefusedByPrivacy, 8),
        ({"over_budget": "spent", "fit": LARGE}, BudgetSpent, 7),
        ({"over_budget": "spent", "fit": None}, BudgetSpent, 7),
        ({"api_down": "it is down"}, ApiUnreachable, 6),
    ],
)
@pytest.mark.parametrize("wanted", ["api", "think"])
def test_insisting_on_the_api_is_refused_where_it_may_not_be(
    wanted: str, changes: dict[str, object], kind: type[IngleError], exit_code: int
) -> None:
    error = refused(facts(wanted=wanted, **changes))
    assert type(error) is kind
    assert error.exit_code == exit_code


@pytest.mark.parametrize("fit", [SMALL, LARGE])
def test_consent_that_is_missing_names_who_would_be_asked_about(fit: Fit) -> None:
    error = refused(facts(wanted="api" if fit is SMALL else "auto", fit=fit, api_consent="asked for"))
    assert error.details["consent"] == "far.example"


def test_at_the_limit_of_the_budget_it_is_answered_here_and_says_so() -> None:
    outcome = attempt(facts(wanted="api", over_budget="of $1.00 a day all is spent"))
    assert isinstance(outcome, Route)
    assert outcome.kind == "local"
    assert outcome.note == "answered here, not by big: of $1.00 a day all is spent"


def test_at_the_limit_what_cannot_run_here_is_exit_code_7() -> None:
    assert refused(facts(fit=LARGE, over_budget="spent")).exit_code == 7


def test_a_tasks_rule_sends_it_away_unless_something_is_against_it() -> None:
    wish = {"task": "review", "task_rule": "api"}
    assert attempt(facts(**wish)) == Route("api", "big", "[tasks] sends review there", "task")
    against = {"offline": True, "private": "x", "api_consent": "asked for", "over_budget": "x", "api_down": "x"}
    for name, value in against.items():
        outcome = attempt(facts(**wish, **{name: value}))
        assert isinstance(outcome, Route)
        assert outcome.kind == "local"


def test_the_command_line_is_above_a_tasks_rule() -> None:
    outcome = attempt(facts(wanted="local", task="review", task_rule="api"))
    assert isinstance(outcome, Route)
    assert outcome.kind == "local"


@pytest.mark.parametrize(
    "kept_by",
    [
        {"offline": True},
        {"private": "it is a secret"},
        {"api_configured": False},
        {"api_consent": "refused"},
        {"wanted": "local"},
        {"over_budget": "all is spent"},
        {"api_down": "it is down"},
    ],
)
def test_a_document_that_stays_is_read_in_parts_and_says_so(kept_by: dict[str, Any]) -> None:
    outcome = attempt(facts(fit=LARGE, has_parts=True, **kept_by))
    assert isinstance(outcome, Route)
    assert outcome.kind == "local"
    assert "read in parts" in outcome.note


def test_a_document_that_may_leave_is_read_whole_elsewhere() -> None:
    outcome = attempt(facts(fit=LARGE, has_parts=True))
    assert isinstance(outcome, Route)
    assert outcome.kind == "api"


def test_a_doubted_answer_goes_to_the_api_under_every_rule_that_any_question_does() -> None:
    assert attempt(facts(wanted="api", draft_confidence=0.34)) == Route(
        "api", "big", "escalated, confidence 0.34", "escalated"
    )
    against = {"offline": True, "private": "x", "api_consent": "asked for", "over_budget": "x", "api_down": "x"}
    for name, value in against.items():
        assert isinstance(attempt(facts(wanted="api", draft_confidence=0.34, **{name: value})), IngleError), name
