"""How good a confidence is: calibration error, ranking, and what is risked at which coverage. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Bin", "Outcome", "Point", "auc", "calibration_error", "reliability", "risk_at"]

_BINS = 10


class Outcome(NamedTuple):
    """What was believed of an answer, and whether it was right."""

    confidence: float
    right: bool


class Bin(NamedTuple):
    """Answers that were believed in about as much: how much on average, and how many were right."""

    answers: int
    confidence: float
    right: float


class Point(NamedTuple):
    """`coverage` of all answers are kept, the most confident first; `risk` of these are wrong."""

    coverage: float
    threshold: float
    risk: float


def reliability(outcomes: Sequence[Outcome]) -> list[Bin]:
    """Ten bins of equal width; empty ones are left out."""
    bins: list[list[Outcome]] = [[] for _ in range(_BINS)]
    for outcome in outcomes:
        bins[min(int(outcome.confidence * _BINS), _BINS - 1)].append(outcome)
    return [
        Bin(
            len(held),
            sum(one.confidence for one in held) / len(held),
            sum(one.right for one in held) / len(held),
        )
        for held in bins
        if held
    ]


def calibration_error(outcomes: Sequence[Outcome]) -> float:
    """ECE: by how much confidence and share of right answers differ, weighted by how often (Naeini et al. 2015)."""
    total = len(outcomes)
    return sum(held.answers * abs(held.confidence - held.right) for held in reliability(outcomes)) / total


def auc(outcomes: Sequence[Outcome]) -> float:
    """The chance that a right answer is believed more than a wrong one; 0.5 where there is none of a kind."""
    right = [one.confidence for one in outcomes if one.right]
    wrong = [one.confidence for one in outcomes if not one.right]
    if not right or not wrong:
        return 0.5
    wins = sum((good > bad) + 0.5 * (good == bad) for good in right for bad in wrong)
    return wins / (len(right) * len(wrong))


def risk_at(outcomes: Sequence[Outcome], coverages: Sequence[float]) -> list[Point]:
    """What is wrong among the most confident answers, for each share of them that is kept."""
    ordered = sorted(outcomes, key=lambda one: -one.confidence)
    points = []
    for coverage in coverages:
        kept = ordered[: max(round(coverage * len(ordered)), 1)]
        points.append(Point(coverage, kept[-1].confidence, sum(not one.right for one in kept) / len(kept)))
    return points
