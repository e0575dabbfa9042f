"""Judges local answers, and learns from what became of them.

How far an answer is believed is arithmetic (`confidence.py`), what is done about it a table (`escalation.py`); this
module watches the answer, keeps what was thought of it in the journal where that is wanted, and calibrates each model
by its user's own outcomes. It sends nothing.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ingle_daemon.journal.answers import Answer, Answers
from ingle_daemon.protocol import AnswerFate, AnswerOutcome, AskRequest, Delta, Done, Draft, Judgement, Route, Started
from ingle_daemon.routing.confidence import (
    DEFAULT,
    Calibration,
    Judged,
    Signs,
    calibrate,
    probability,
    reasons,
    signs_of,
)

__all__ = ["FEWEST_TO_LEARN", "MEANINGS", "Judge", "Watched"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
FEWEST_TO_LEARN = 30
"""Outcomes of a model before its calibration is drawn away from the one that ingle came with."""
_MOST_LEARNED = 500
_LEARN_EVERY = 8
_MOST_QUESTIONS = 32
_MOST_TERMINALS = 32
_ASKED_AGAIN_S = 900.0
_RECENT = 20

MEANINGS: dict[str, tuple[bool, float]] = {
    "kept": (True, 1.0),
    "ran": (True, 1.0),
    "declined": (True, 0.5),
    "failed": (False, 0.5),
    "escalated": (False, 1.0),
    "retried": (False, 1.0),
}
"""What a fate says of an answer: whether it was right, and how much that is known. A command may fail for many reasons,
and who takes what is there may only be in a hurry. An answer that was escalated by the settings tells nothing."""


class Watched:
    """A local answer while it is made."""

    def __init__(self, model: str, calibration: Calibration) -> None:
        self.model = model
        self._calibration = calibration
        self._pieces: list[str] = []
        self._logprobs: list[float] = []
        self._cut = False

    def see(self, event: object) -> None:
        if isinstance(event, Delta):
            self._pieces.append(event.text)
            self._logprobs += event.logprobs
        elif isinstance(event, Done):
            self._cut = event.reason == "limit"

    @property
    def tokens(self) -> int:
        return len(self._logprobs)

    @property
    def signs(self) -> Signs:
        return signs_of("".join(self._pieces), self._logprobs, cut=self._cut)

    def judge(self, threshold: float) -> Judgement:
        """What is thought of what has come so far."""
        signs = self.signs
        return Judgement(
            confidence=round(probability(self._calibration, signs), 4),
            threshold=threshold,
            reasons=reasons(self._calibration, signs),
            signs={name: round(value, 4) for name, value in signs._asdict().items()},
        )

    def draft(self, judgement: Judgement) -> Draft:
        return Draft("".join(self._pieces), judgement.confidence, judgement.reasons)


class Judge:
    """Judges answers by what became of earlier ones of the same model, where `answers` keeps that.

    `shipped` gives the calibration that a model comes with. Keeping is done in a thread of its own, in its order.
    """

    def __init__(self, answers: Answers | None, shipped: Callable[[str], Calibration | None] = lambda _: None) -> None:
        self._answers = answers
        self._shipped = shipped
        self._calibrations: dict[str, Calibration] = {}
        self._news: dict[str, int] = {}
        self._questions: OrderedDict[int, tuple[str, float]] = OrderedDict()
        self._handed: OrderedDict[str, str] = OrderedDict()
        self._early: OrderedDict[str, AnswerFate] = OrderedDict()
        """Told before their answer was noted: a client that hangs up early is heard at once, its hanging up later."""
        self._disk = ThreadPoolExecutor(1, "answers")
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)

    def keep(self, answers: Answers | None) -> None:
        """Where what becomes of answers is kept from now on."""
        self._answers = answers

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.to_thread(self._disk.shutdown)

    # --- judging ---

    async def watch(self, model: str) -> Watched:
        """An answer of `model` that is about to be made."""
        if model not in self._calibrations:
            self._calibrations[model] = await self._in_order(self._learned, model)
        return Watched(model, self._calibrations[model])

    def _learned(self, model: str) -> Calibration:
        prior = self._shipped(model) or DEFAULT
        try:
            known = self._answers.judged(model, _MOST_LEARNED) if self._answers else []
        except (OSError, sqlite3.Error) as error:
            _log.warning("nothing is learned from earlier answers", extra={"error": type(error).__name__})
            return prior
        outcomes = [
            Judged(Signs(*answer.signs), *MEANINGS[answer.fate])
            for answer in known
            if answer.fate in MEANINGS and len(answer.signs) == len(Signs._fields)
        ]
        return calibrate(prior, outcomes) if len(outcomes) >= FEWEST_TO_LEARN else prior

    # --- what became of them ---

    def note(self, request: AskRequest, watched: Watched, judgement: Judgement) -> None:
        """Keep what was thought of the answer to `request`, where that has a name."""
        if not request.id:
            return
        now = time.time()
        signs = tuple(judgement.signs.values())
        self._later(self._add, Answer(request.id, watched.model, judgement.confidence, signs, judgement.rule), now)
        self._questions[hash(request.messages[-1].content)] = (request.id, now)
        if len(self._questions) > _MOST_QUESTIONS:
            self._questions.popitem(last=False)

    def see_elsewhere(self, request: AskRequest, event: object) -> None:
        """A larger model answers `request`, and says `event`. Where a local answer led to that, it was not good."""
        if isinstance(event, Started):
            answer, at = self._questions.pop(hash(request.messages[-1].content), ("", 0.0))
            if request.draft and request.id:
                self.outcome(request.id, "escalated")
            elif answer and time.time() - at < _ASKED_AGAIN_S:
                self.outcome(answer, "retried")
        elif isinstance(event, Done) and request.draft and request.id and event.usage:
            self.charge(request.id, event.usage.cost)

    def hear(self, told: AnswerOutcome) -> None:
        """What a client tells."""
        if told.fate == "handed":
            self._handed[told.terminal] = told.id
            if len(self._handed) > _MOST_TERMINALS:
                self._handed.popitem(last=False)
        elif answer := told.id or self._handed.pop(told.terminal, ""):
            self.outcome(answer, told.fate)

    def outcome(self, answer: str, fate: AnswerFate) -> None:
        """What became of an answer that was noted, or will be; one without a name was not."""
        self._later(self._judge, answer, fate)

    def _add(self, answers: Answers, answer: Answer, at: float) -> None:
        answers.add(answer, at)
        if fate := self._early.pop(answer.id, None):
            self._judge(answers, answer.id, fate)

    def _judge(self, answers: Answers, answer: str, fate: AnswerFate) -> None:
        model = answers.judge(answer, fate)
        if not model:
            self._early[answer] = fate
            if len(self._early) > _MOST_QUESTIONS:
                self._early.popitem(last=False)
            return
        self._news[model] = self._news.get(model, 0) + 1
        if self._news[model] >= _LEARN_EVERY:
            self._news[model] = 0
            self._calibrations.pop(model, None)  # the next question's answer is judged by a new one

    def charge(self, answer: str, cost: float | None) -> None:
        """What a larger model took that answered instead."""
        self._later(Answers.charge, answer, cost)

    # --- telling ---

    def remember(self, route: Route, facts: dict[str, Any], judgement: Judgement | None) -> None:
        """Keep in memory how a question was decided, for `ingle why`."""
        self._recent.append({"at": time.time(), "route": route, "facts": facts, "judgement": judgement})

    def recent(self, count: int) -> list[dict[str, Any]]:
        """The newest first."""
        return list(reversed(self._recent))[:count]

    async def since(self, at: float) -> list[Answer]:
        """What is kept since then, the newest first."""
        return [] if self._answers is None else await self._in_order(self._answers.since, at)

    # --- the disk ---

    def _later(self, work: Callable[..., None], *arguments: object) -> None:
        if self._answers is not None:
            self._disk.submit(_unless_broken, work, self._answers, *arguments)

    async def _in_order(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, lambda: work(*arguments))


def _unless_broken(work: Callable[..., None], *arguments: object) -> None:
    """What cannot be kept is not learned from; the answer is none the worse for it."""
    try:
        work(*arguments)
    except (OSError, sqlite3.Error) as error:
        _log.warning("what became of an answer is not kept", extra={"error": type(error).__name__})
