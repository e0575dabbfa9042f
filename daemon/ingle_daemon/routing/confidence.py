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

__all__ = ["DEFAULT", "Calibration", "Judged", "Signs", "calibrate", "probability", "signs_of"]

_WINDOW = 8
_GRAM = 4
_REFUSALS = re.compile(
    r"\b(?:I (?:can(?:no|')t|am (?:not able|unable)|do(?: not|n't) (?:know|have))|as an AI"
    r"|I'm (?:sorry|unable|not sure)|not enough information)\b",
    re.IGNORECASE,
)
_STEPS = 25
_STRENGTH = 4.0
"""How many answers of the user's the weights that were there before count for, each."""


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
    """An answer that turned out right, or not."""

    signs: Signs
    right: bool


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


def calibrate(prior: Calibration, judged: Sequence[Judged]) -> Calibration:
    """The logistic fit to `judged`, held near `prior` by a penalty: a few answers move it a little, hundreds wholly.

    Newton's method on the penalized log-likelihood, which is convex.
    """
    if not judged:
        return prior
    import numpy as np  # the daemon learns seldom, and numpy would be half of its memory

    features = np.array([[1.0, *one.signs] for one in judged])
    labels = np.array([float(one.right) for one in judged])
    center = np.array([prior.bias, *prior.weights])
    weights = center.copy()
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(features @ weights, -30, 30)))
        gradient = features.T @ (labels - chances) - _STRENGTH * (weights - center)
        spread = chances * (1 - chances)
        curvature = (features * spread[:, None]).T @ features + _STRENGTH * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-6:
            break
    bias, *rest = (float(weight) for weight in weights)
    return Calibration(bias, tuple(rest), prior.answers + len(judged))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _repeats(text: str) -> float:
    words = text.lower().split()
    grams = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
