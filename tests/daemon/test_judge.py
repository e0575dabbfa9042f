"""What is kept of judged answers, and what is learned from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ingle_daemon.journal import open_journal
from ingle_daemon.journal.answers import Answer, Answers
from ingle_daemon.protocol import AnswerFate, AskRequest, ChatMessage, Delta, Done
from ingle_daemon.routing.confidence import DEFAULT, Calibration
from ingle_daemon.routing.judge import FEWEST_TO_LEARN, Judge
from ingle_daemon.routing.report import report

SHIPPED = Calibration(1.0, DEFAULT.weights)
DAY = 24 * 3600.0


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return Answers(open_journal(tmp_path / "journal"))


@pytest_asyncio.fixture
async def judge(answers: Answers) -> AsyncIterator[Judge]:
    judge = Judge(answers, {"starter": SHIPPED}.get)
    yield judge
    await judge.close()


async def answered(judge: Judge, name: str, fate: AnswerFate | None = None, model: str = "starter") -> float:
    """How far an answer of that name is believed; then it meets its fate."""
    watched = await judge.watch(model)
    watched.see(Delta("It is four.", (1,), (-0.05,)))
    watched.see(Done("end"))
    judgement = watched.judge(0.5)
    judge.note(AskRequest((ChatMessage("user", name),), id=name), watched, judgement)
    if fate:
        judge.outcome(name, fate)
    return judgement.confidence


@pytest.mark.asyncio
async def test_a_model_begins_with_the_weights_that_it_came_with(judge: Judge) -> None:
    known, unknown = await answered(judge, "1"), await answered(judge, "2", model="other")
    assert known < unknown


@pytest.mark.asyncio
async def test_a_fate_that_is_told_before_its_answer_was_noted_is_not_lost(judge: Judge) -> None:
    judge.outcome("early", "kept")
    await answered(judge, "early")
    assert [answer.fate for answer in await judge.since(0.0)] == ["kept"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fate", "moves"), [("failed", -1), ("retried", -1), ("escalated", -1), ("kept", 1), ("ran", 1)]
)
async def test_outcomes_move_it_once_there_are_enough(judge: Judge, fate: AnswerFate, moves: int) -> None:
    before = await answered(judge, "first")
    for number in range(FEWEST_TO_LEARN - 2):
        await answered(judge, str(number), fate)
    assert await answered(judge, "second") == before
    for number in range(20):
        await answered(judge, f"more {number}", fate)
    await asyncio.gather(judge.since(0))  # whatever was to be written is
    after = await answered(judge, "third")
    assert (after - before) * moves > 0.02
    assert await answered(judge, "fourth", model="other") == await answered(judge, "fifth", model="other")


@pytest.mark.asyncio
async def test_what_the_settings_escalate_teaches_nothing(judge: Judge) -> None:
    before = await answered(judge, "first")
    for number in range(FEWEST_TO_LEARN + 20):
        await answered(judge, str(number), "automatic")
    await judge.since(0)
    assert await answered(judge, "second") == before


@pytest.mark.asyncio
async def test_without_a_name_or_a_journal_nothing_is_kept(judge: Judge) -> None:
    watched = await judge.watch("starter")
    judge.note(AskRequest((ChatMessage("user", "hi"),)), watched, watched.judge(0.5))
    assert await judge.since(0) == []
    forgetful = Judge(None)
    await answered(forgetful, "hi", "kept")
    assert await forgetful.since(0) == []
    await forgetful.close()


def test_the_oldest_are_forgotten(answers: Answers) -> None:
    now = time.time()
    for number, at in enumerate((now - 200 * DAY, now - 100 * DAY, now)):
        answers.add(Answer(str(number), "starter", 0.5, (0.0,) * 7, "believed"), at)
    assert [one.id for one in answers.since(0)] == ["2", "1"]


def test_a_report_counts_what_is_known_and_hides_what_would_mislead() -> None:
    def made(number: int, fate: str, rule: str = "believed", confidence: float = 0.8) -> Answer:
        return Answer(str(number), "starter", confidence, (0.0,) * 7, rule, fate, 0.01 if fate == "escalated" else None)

    few = report([made(1, "kept"), made(2, "escalated", "doubted", 0.2), made(3, "")])
    assert (few["answers"], few["judged"], few["ece"], few["bins"]) == (3, 2, None, [])
    assert few["escalation"] == {
        "kept": 2, "believed": 2, "doubted": 1, "offered": 1, "taken": 1, "automatic": 0, "retried": 0,
        "cost": 0.01, "cost_unknown": 0,
    }  # fmt: skip
    many = report([made(number, "kept" if number % 5 else "failed") for number in range(100)])
    assert many["bins"] == [{"answers": 100, "confidence": pytest.approx(0.8), "right": 0.8}]
    assert many["ece"] == pytest.approx(0.0)
    assert many["risk"][-1]["risk"] == pytest.approx(0.2)
