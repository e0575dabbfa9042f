"""How likely a local answer is right, from what the engine says of it. Pure: signs in, a probability out.

The signs are those of a text and its token log-probabilities; a small logistic model per language model weighs them. It
begins with weights measured once (`tests/bench/routing.py`) and is drawn towards what became of the user's own answers:
raw probabilities are badly calibrated, and differently so for every model. It knows no route, no journal and no engine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

__all__ = ["DEFAULT", "Calibration", "Judged", "Signs", "calibrate", "probability", "reasons", "signs_of"]

_WINDOW = 8
_GRAM = 4
_REFUSALS = re.compile(
    r"\b(?:I (?:can(?:no|')t|am (?:not able|unable)|do(?: not|n't) (?:know|have))|as an AI"
    r"|I'm (?:sorry|unable|not sure)|not enough information)\b",
    re.IGNORECASE,
)
_STEPS = 25
_CLOSE = 1e-6
_STRENGTH = 4.0
"""How many answers of the user's the weights that were there before count for, each."""
_MOST_REASONS = 3
_TELLING = 0.25
"""What a sign must take from the score, in nats, to be named."""


class Signs(NamedTuple):
    """What can be seen of an answer. The first three are nats a token: 0 is certain, -3 is guessing.

    `worst` is the mean over the worst eight tokens in a row, `first` over the first four. `repeats` is the share of
    word sequences that had been said before. `refuses` and `cut` are 0 or 1, `length` is log10 of its tokens.
    """

    mean: float
    worst: float
    first: float
    repeats: float
    refuses: float
    cut: float
    length: float


class Calibration(msgspec.Struct, frozen=True):
    """Weights of `Signs`, in their order, and a bias. `answers`: how many of the user's it has learned from."""

    bias: float
    weights: tuple[float, ...]
    answers: int = 0


class Judged(NamedTuple):
    """An answer that turned out right, or not. `weight`: how much that is known, from 0 to 1."""

    signs: Signs
    right: bool
    weight: float = 1.0


_DIRECTIONS = (1, 1, 1, -1, -1, -1, 0)
"""Of `Signs`: whether more of it speaks for the answer, or against it; 0: who knows."""
_SURE = Signs(mean=-0.1, worst=-0.3, first=-0.1, repeats=0.0, refuses=0.0, cut=0.0, length=1.0)
_WORDS = {
    "mean": "guessed words",
    "worst": "a passage of guesses",
    "first": "an unsure beginning",
    "repeats": "repeats itself",
    "refuses": "does not know",
    "cut": "cut off",
}
_LENGTHS = ("short", "long")

DEFAULT = Calibration(2.0, (1.5, 0.5, 0.5, -3.0, -2.0, -0.5, -0.3))
"""For a model that nothing is known of: sure, short answers that do not go in circles are believed."""


def signs_of(text: str, logprobs: Sequence[float], *, cut: bool) -> Signs:
    """The signs of an answer; of an empty one, those of a guess."""
    if not logprobs:
        return Signs(-5.0, -5.0, -5.0, 0.0, 0.0, float(cut), 0.0)
    width = min(_WINDOW, len(logprobs))
    return Signs(
        mean=_mean(logprobs),
        worst=min(_mean(logprobs[at : at + width]) for at in range(len(logprobs) - width + 1)),
        first=_mean(logprobs[:4]),
        repeats=_repeats(text),
        refuses=float(bool(_REFUSALS.search(text))),
        cut=float(cut),
        length=math.log10(len(logprobs)),
    )


def probability(calibration: Calibration, signs: Signs) -> float:
    """That the answer is right."""
    score = calibration.bias + sum(weight * sign for weight, sign in zip(calibration.weights, signs, strict=True))
    return 1 / (1 + math.exp(-max(min(score, 30.0), -30.0)))


def reasons(calibration: Calibration, signs: Signs) -> tuple[str, ...]:
    """What speaks most against the answer, in words, beside a short sure one; the strongest first."""
    against = sorted(
        (weight * (sign - sure), name)
        for name, weight, sign, sure in zip(Signs._fields, calibration.weights, signs, _SURE, strict=True)
    )
    words = {**_WORDS, "length": _LENGTHS[signs.length > _SURE.length]}
    return tuple(words[name] for taken, name in against if taken < -_TELLING)[:_MOST_REASONS]


def calibrate(prior: Calibration, judged: Sequence[Judged]) -> Calibration:
    """The logistic fit to `judged`, held near `prior` by a penalty: a few answers move it a little, hundreds wholly.

    Which way a sign points is known, all but that of the length: a weight that would turn it around is 0. (Of short
    answers the mean and the worst stretch are the same, so that one of them would take the odd sign, and longer answers
    would be believed for their guesses.)

    Newton's method on the penalized log-likelihood, which is convex. In plain Python: eight weights and a few hundred
    answers take hundredths of a second, and numpy would be a third of the daemon's memory.
    """
    if not judged:
        return prior
    center = [prior.bias, *prior.weights]
    free = list(range(len(center)))
    while True:
        weights = _fitted(center, free, judged)
        odd = [at for at in free if at and weights[at] * _DIRECTIONS[at - 1] < 0]
        if not odd:
            return Calibration(weights[0], tuple(weights[1:]), prior.answers + len(judged))
        free = [at for at in free if at not in odd]


def _fitted(center: Sequence[float], free: Sequence[int], judged: Sequence[Judged]) -> list[float]:
    """Bias and weights; those that are not `free` are 0."""
    weights = [value if at in free else 0.0 for at, value in enumerate(center)]
    for _ in range(_STEPS):
        step = _solved(*_slope(weights, center, free, judged))
        for at, change in zip(free, step, strict=True):
            weights[at] += change
        if max(map(abs, step)) < _CLOSE:
            break
    return weights


def _slope(
    weights: Sequence[float], center: Sequence[float], free: Sequence[int], judged: Sequence[Judged]
) -> tuple[list[list[float]], list[float]]:
    """Curvature and gradient of the penalized log-likelihood at `weights`, along those that are free."""
    gradient = [-_STRENGTH * (weights[at] - center[at]) for at in free]
    curvature = [[_STRENGTH * (at == other) for other in free] for at in free]
    calibration = Calibration(weights[0], tuple(weights[1:]))
    for one in judged:
        chance = probability(calibration, one.signs)
        features = (1.0, *one.signs)
        missed, spread = one.weight * (one.right - chance), one.weight * chance * (1 - chance)
        for row, at in enumerate(free):
            gradient[row] += missed * features[at]
            for column, other in enumerate(free):
                curvature[row][column] += spread * features[at] * features[other]
    return curvature, gradient


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a positive definite system, by Gauss."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot, row in enumerate(rows):
        for other in rows[pivot + 1 :]:
            factor = other[pivot] / row[pivot]
            for column in range(pivot, len(row)):
                other[column] -= factor * row[column]
    found = [0.0] * len(rows)
    for pivot in reversed(range(len(rows))):
        known = sum(rows[pivot][column] * found[column] for column in range(pivot + 1, len(rows)))
        found[pivot] = (rows[pivot][-1] - known) / rows[pivot][pivot]
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _repeats(text: str) -> float:
    words = text.lower().split()
    grams = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
