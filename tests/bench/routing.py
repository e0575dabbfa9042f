"""Does the confidence tell right answers from wrong ones, and what would it save?

The loaded model answers questions whose answers are computed. Half of them calibrate the confidence, the other half is
judged. A question that is not believed is asked of an API model that is taken to be always right; compared at the same
accuracy with asking the API always, and with a rule that sends the longer questions.

    [MODEL=model.gguf] PYTHONPATH=tests python tests/bench/routing.py [--json] [--rounds QUESTIONS]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import support
from bench import report
from bench.bare import BareEngine, as_worker
from bench.routing_questions import Question, is_right, questions
from ingle_daemon.protocol import ChatMessage, ChatPrompt, Delta
from ingle_daemon.routing.confidence import DEFAULT, Calibration, Judged, calibrate, probability, signs_of
from ingle_daemon.routing.reliability import Outcome, auc, calibration_error, risk_at

_LONGEST = 24
_ACCURACIES = (0.8, 0.9, 0.95)
_COVERAGES = (0.1, 0.25, 0.5, 1.0)


class Answered(NamedTuple):
    """A question, and what was seen of its answer."""

    question: Question
    judged: Judged


def main() -> None:
    options = report.options("How far the confidence of local answers can be trusted.", rounds=300)
    as_worker()
    model = Path(os.environ.get("MODEL") or support.starter_model())
    engine = BareEngine(model=model)
    answered = [_ask(engine, question) for question in questions(options.rounds)]
    engine.close()
    learning, judging = answered[0::2], answered[1::2]
    learned = calibrate(DEFAULT, [one.judged for one in learning])
    right = sum(one.judged.right for one in judging) / len(judging)
    report.show(
        f"{len(judging)} answers judged, {len(learning)} learned from; {model.name}, right {right:.2f}",
        [
            _row("as shipped", DEFAULT, judging),
            _row("after calibration", learned, judging),
            _by_length(judging),
        ],
        as_json=options.as_json,
        remarks=[
            "kept at: the share that needs no API while so much of all answers is right (the API is always right)",
            f"weights: bias {learned.bias:.2f}, " + ", ".join(f"{weight:.2f}" for weight in learned.weights),
        ],
    )


def _ask(engine: BareEngine, question: Question) -> Answered:
    prompt = ChatPrompt((ChatMessage("user", question.text),))
    engine.forget()
    _, events = engine.run(prompt, _LONGEST, logprobs=True)
    deltas = [event for _, event in events if isinstance(event, Delta)]
    text = "".join(delta.text for delta in deltas)
    logprobs = [logprob for delta in deltas for logprob in delta.logprobs]
    signs = signs_of(text, logprobs, cut=len(logprobs) >= _LONGEST)
    return Answered(question, Judged(signs, is_right(question, text)))


def _row(name: str, calibration: Calibration, answered: Sequence[Answered]) -> report.Row:
    return _figures(
        name,
        [Outcome(probability(calibration, one.judged.signs), one.judged.right) for one in answered],
        calibrated=True,
    )


def _by_length(answered: Sequence[Answered]) -> report.Row:
    """What most routers do: the longer the question, the less it is left to the small model."""
    longest = max(len(one.question.text) for one in answered)
    outcomes = [Outcome(1 - len(one.question.text) / longest, one.judged.right) for one in answered]
    return _figures("by length of question", outcomes, calibrated=False)


def _figures(name: str, outcomes: Sequence[Outcome], *, calibrated: bool) -> report.Row:
    risks = {f"wrong of {point.coverage:.0%}": point.risk for point in risk_at(outcomes, _COVERAGES)}
    kept = {f"kept at {accuracy:.0%}": _kept(outcomes, accuracy) for accuracy in _ACCURACIES}
    error = calibration_error(outcomes) if calibrated else None
    return {"": name, "AUC": auc(outcomes), "ECE": error, **risks, **kept}


def _kept(outcomes: Sequence[Outcome], accuracy: float) -> float:
    """The largest share that may be answered here while `accuracy` of all answers is right."""
    ordered = sorted(outcomes, key=lambda one: -one.confidence)
    wrong, best = 0, 0
    for number, outcome in enumerate(ordered, 1):
        wrong += not outcome.right
        if 1 - wrong / len(ordered) >= accuracy:
            best = number
    return best / len(ordered)


if __name__ == "__main__":
    main()
