"""Does the confidence tell right answers from wrong ones, and what does it save?

The loaded model answers questions whose answers are computed. In five folds the confidence is calibrated, and the
threshold chosen, on four fifths of them, and judged on the fifth that it has not seen. What is not believed is asked of
an API model; there is none here: it is taken to be right on so many of any questions, and to cost as many
tokens as the local model used. Compared with asking it always, and with a rule that sends the longer questions.

    [MODEL=model.gguf] PYTHONPATH=tests python tests/bench/routing.py [--json] [--rounds QUESTIONS]
"""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import support
from bench import report
from bench.bare import BareEngine, as_worker, source_text
from bench.routing_questions import Question, is_right, questions
from ingle_daemon.protocol import ChatMessage, ChatPrompt, Delta, Started, TextPrompt
from ingle_daemon.routing.confidence import DEFAULT, Calibration, Judged, calibrate, probability, signs_of
from ingle_daemon.routing.reliability import Outcome, auc, calibration_error, risk_at

_LONGEST = 24
_FOLDS = 5
_DECODED, _DECODE_RUNS = 40, 15
_API_IS_RIGHT = 0.95
_SHARES = (1.0, 0.95, 0.9)
"""Of the API's accuracy, that is to be reached."""
_COVERAGES = (0.1, 0.25, 0.5, 1.0)


class Answered(NamedTuple):
    """A question, what was seen of its answer, and the tokens of both."""

    question: Question
    judged: Judged
    tokens: int


Score = Callable[[Answered], float]
Learn = Callable[[Sequence[Answered]], Score]


def main() -> None:
    options = report.options("How far the confidence of local answers can be trusted.", rounds=280)
    as_worker()
    model = Path(os.environ.get("MODEL") or support.starter_model())
    engine = BareEngine(model=model)
    answered = [_ask(engine, question) for question in questions(options.rounds)]
    gaps = _decoding(engine)
    engine.close()
    right = sum(one.judged.right for one in answered) / len(answered)
    learned = calibrate(DEFAULT, [one.judged for one in answered])
    report.show(
        f"{len(answered)} questions in {_FOLDS} folds; {model.name} is right on {right:.0%}, the API on"
        f" {_API_IS_RIGHT:.0%} (assumed)",
        [
            _row("default weights", lambda _: _by(DEFAULT), answered, probable=True),
            _row("calibrated", _calibrated, answered, probable=True),
            _row("length of question", lambda _: _shortness, answered, probable=False),
        ],
        as_json=options.as_json,
        remarks=[
            "AUC and ECE: over all questions (least and most of a fold). wrong of N: among the N most confident.",
            "saved at N: of always-API's cost, with a threshold chosen for N of its accuracy (that which was reached)",
            f"fit to all, for the catalog: bias = {learned.bias:.2f}, weights = ["
            + ", ".join(f"{weight:.2f}" for weight in learned.weights)
            + "]",
            f"milliseconds a token: {gaps[True]} with log-probabilities, {gaps[False]} without",
        ],
    )


def _ask(engine: BareEngine, question: Question) -> Answered:
    prompt = ChatPrompt((ChatMessage("user", question.text),))
    engine.forget()
    _, events = engine.run(prompt, _LONGEST, logprobs=True)
    deltas = [event for _, event in events if isinstance(event, Delta)]
    asked = sum(event.prompt_tokens for _, event in events if isinstance(event, Started))
    text = "".join(delta.text for delta in deltas)
    logprobs = [logprob for delta in deltas for logprob in delta.logprobs]
    signs = signs_of(text, logprobs, cut=len(logprobs) >= _LONGEST)
    return Answered(question, Judged(signs, is_right(question, text)), asked + len(logprobs))


def _decoding(engine: BareEngine) -> dict[bool, report.Spread]:
    """Milliseconds from token to token, with log-probabilities and without: the median of each run, in turns."""
    prompt = TextPrompt(source_text()[:1000])
    gaps: dict[bool, list[float]] = {True: [], False: []}
    for run in range(2 * _DECODE_RUNS):
        _, events = engine.run(prompt, _DECODED, logprobs=run % 2 == 0)
        moments = [moment for moment, event in events if isinstance(event, Delta)]
        gaps[run % 2 == 0].append(1000 * statistics.median(b - a for a, b in itertools.pairwise(moments)))
    return {which: report.Spread.of(found) for which, found in gaps.items()}


# --- scores -----------------------------------------------------------------------------------------------------------


def _calibrated(learning: Sequence[Answered]) -> Score:
    return _by(calibrate(DEFAULT, [one.judged for one in learning]))


def _by(calibration: Calibration) -> Score:
    return lambda one: probability(calibration, one.judged.signs)


def _shortness(one: Answered) -> float:
    """What most routers do: the longer the question, the less it is left to the small model."""
    return 1 / len(one.question.text)


# --- figures ----------------------------------------------------------------------------------------------------------


class _Fold(NamedTuple):
    """Questions that the score has not learned from, and their scores; `learned` are those that it has."""

    judged: Sequence[Answered]
    score: Score
    learned: Sequence[Answered]

    @property
    def outcomes(self) -> list[Outcome]:
        return [Outcome(self.score(one), one.judged.right) for one in self.judged]


def _row(name: str, learn: Learn, answered: Sequence[Answered], *, probable: bool) -> report.Row:
    folds = []
    for number in range(_FOLDS):
        learned = [one for at, one in enumerate(answered) if at % _FOLDS != number]
        folds.append(_Fold(answered[number::_FOLDS], learn(learned), learned))
    outcomes = [outcome for fold in folds for outcome in fold.outcomes]
    return {
        "": name,
        "AUC": _with_spread(auc, folds, outcomes),
        "ECE": _with_spread(calibration_error, folds, outcomes) if probable else None,
        **{f"wrong of {point.coverage:.0%}": point.risk for point in risk_at(outcomes, _COVERAGES)},
        **{f"saved at {share:.0%}": _saved(folds, share) for share in _SHARES},
    }


def _with_spread(figure: Callable[[Sequence[Outcome]], float], folds: Sequence[_Fold], whole: list[Outcome]) -> str:
    each = [figure(fold.outcomes) for fold in folds]
    return f"{figure(whole):.2f} ({min(each):.2f}..{max(each):.2f})"


def _saved(folds: Sequence[_Fold], share: float) -> str:
    """Of what it costs to ask the API always; and the accuracy that was reached, as a share of the API's."""
    spent = cost = 0
    reached: list[float] = []
    for fold in folds:
        threshold = _threshold(fold, share)
        for one in fold.judged:
            kept = fold.score(one) >= threshold
            cost += one.tokens
            spent += 0 if kept else one.tokens
            reached.append(float(one.judged.right) if kept else _API_IS_RIGHT)
    return f"{1 - spent / cost:.0%} ({statistics.mean(reached) / _API_IS_RIGHT:.0%})"


def _threshold(fold: _Fold, share: float) -> float:
    """The lowest score that may be kept, by the questions that were learned from."""
    ordered = sorted(fold.learned, key=lambda one: -fold.score(one))
    wanted = share * _API_IS_RIGHT * len(ordered)
    right, threshold = 0, float("inf")
    for number, one in enumerate(ordered, 1):
        right += one.judged.right
        if right + _API_IS_RIGHT * (len(ordered) - number) >= wanted:
            threshold = fold.score(one)
    return threshold


if __name__ == "__main__":
    main()
