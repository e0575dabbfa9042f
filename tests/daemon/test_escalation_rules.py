"""What becomes of a local answer that was judged: every row of the table, what is written of it, and its draft."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingle_daemon.protocol import AskRequest, ChatMessage, Draft, Fit
from ingle_daemon.routing import escalation
from ingle_daemon.routing.escalation import Doubt, Mode, decide, with_draft
from ingle_daemon.routing.policy import Facts

OPEN = Facts(
    wanted="auto",
    fit=Fit(100, 512, 2048),
    local_model="tiny",
    api_configured=True,
    api_consent="given",
    api_model="big",
    api_host="far.example",
    api_fit=Fit(150, 512, 128_000),
)
DOCUMENT = Path(__file__).parents[2] / "docs/routing.md"
AGAINST: dict[str, dict[str, Any]] = {
    "doubted, offline": {"offline": True},
    "doubted, private": {"private": "x.sql is private"},
    "doubted, not configured": {"api_configured": False},
    "doubted, forbidden": {"api_consent": "refused"},
    "doubted, no consent": {"api_consent": "asked for"},
    "doubted, too large": {"api_fit": Fit(200_000, 512, 128_000)},
    "doubted, over budget": {"over_budget": "all is spent"},
    "doubted, down": {"api_down": "it is down"},
}


def doubt(confidence: float = 0.34, mode: Mode = "offer") -> Doubt:
    return Doubt(confidence, 0.5, mode)


def test_the_docstring_and_the_document_show_the_table_that_the_code_runs() -> None:
    code = re.findall(r"^    (\S.*?) {2,}(.+?) {2,}(\w+)$", escalation.__doc__ or "", re.MULTILINE)
    rows = [row for row in code if row[0] != "rule"]
    assert [(name, outcome) for name, _, outcome in rows] == [(rule.name, rule.outcome) for rule in escalation.RULES]
    section = DOCUMENT.read_text().partition("## After a local answer")[2].partition("\n## ")[0]
    document = re.findall(r"^\| (.+?) \| (.+?) \| (\w+) \|$", section, re.MULTILINE)
    assert [row for row in document if row[0] != "rule"] == rows


@pytest.mark.parametrize("mode", ["offer", "auto", "off"])
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_what_is_believed_is_kept(mode: Mode, confidence: float) -> None:
    assert decide(doubt(confidence, mode), OPEN)[:2] == ("keep", "believed")


def test_what_is_doubted_goes_where_the_settings_say() -> None:
    assert decide(doubt(), OPEN)[:2] == ("offer", "doubted")
    assert decide(doubt(mode="auto"), OPEN)[:2] == ("escalate", "doubted, automatic")
    assert decide(doubt(mode="off"), OPEN)[:2] == ("keep", "doubted, off")


@pytest.mark.parametrize("mode", ["offer", "auto"])
@pytest.mark.parametrize("rule", AGAINST)
def test_what_the_policy_would_refuse_is_neither_done_nor_offered(rule: str, mode: Mode) -> None:
    facts = msgspec.structs.replace(OPEN, **AGAINST[rule])
    assert decide(doubt(mode=mode), facts)[:2] == ("keep", rule)


def test_a_verdict_comes_with_the_facts_it_used() -> None:
    verdict = decide(doubt(), msgspec.structs.replace(OPEN, private="x.sql is private"))
    assert verdict.facts == {"offline": False, "private": "x.sql is private"}


def test_the_draft_goes_along_as_what_it_is() -> None:
    request = AskRequest((ChatMessage("user", "how many?"),), draft=Draft("forty", 0.34, ("guessed words",)))
    question, draft, said = with_draft(request).messages
    assert (question.content, draft) == ("how many?", ChatMessage("assistant", "forty"))
    assert "may be wrong: confidence 0.34, guessed words" in said.content
    assert said.role == "user"
    plain = AskRequest((ChatMessage("user", "how many?"),))
    assert with_draft(plain) is plain
