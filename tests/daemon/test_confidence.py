"""What signs an answer gives, what they are taken for, and how a confidence is judged."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from ingle_daemon.routing.reliability import Outcome, auc, calibration_error, reliability, risk_at


def test_signs_tell_a_sure_answer_from_a_guess() -> None:
    sure = signs_of("Paris.", [-0.01, -0.02], cut=False)
    guess = signs_of("Lyon, perhaps.", [-2.0, -3.0, -2.5, -1.0], cut=False)
    assert sure.mean > guess.mean
    assert probability(DEFAULT, sure) > 0.8
    assert probability(DEFAULT, guess) < 0.3


def test_going_in_circles_refusing_and_being_cut_off_count_against_an_answer() -> None:
    text = "the file is in the folder " * 8
    circles = signs_of(text, [-0.05] * 50, cut=False)
    assert circles.repeats > 0.7
    plain = signs_of("It is in /etc/hosts, which maps names to addresses.", [-0.05] * 12, cut=False)
    refused = signs_of("I'm sorry, but I cannot answer that.", [-0.05] * 12, cut=False)
    cut = signs_of("It is in /etc/hosts, which maps names", [-0.05] * 12, cut=True)
    assert refused.refuses == 1
    assert min(probability(DEFAULT, other) for other in (circles, refused, cut)) < probability(DEFAULT, plain)


def test_the_worst_stretch_is_found_wherever_it_is() -> None:
    values = [-0.1] * 40
    values[20:28] = [-2.0] * 8
    assert signs_of("x", values, cut=False).worst == pytest.approx(-2.0)


def test_what_speaks_against_an_answer_is_said_in_words_the_strongest_first() -> None:
    assert reasons(DEFAULT, signs_of("Paris.", [-0.01, -0.02], cut=False)) == ()
    guess = signs_of("Lyon, perhaps.", [-2.0, -3.0, -2.5, -1.0], cut=False)
    assert reasons(DEFAULT, guess)[0] == "guessed words"
    circles = signs_of("the file is in the folder " * 20, [-0.05] * 120, cut=True)
    assert reasons(DEFAULT, circles) == ("repeats itself", "cut off", "long")


def test_no_outcomes_make_a_guess_speak_for_an_answer() -> None:
    rng = random.Random(3)
    for _ in range(20):
        judged = []
        for _ in range(60):
            mean, worst, first, repeats, refuses, cut = (rng.random() for _ in range(6))
            judged.append(Judged(Signs(-mean, -worst, -first, repeats, refuses, cut, 1.0), rng.random() < 0.5))
        mean, worst, first, repeats, refuses, cut, _ = calibrate(Calibration(0.0, (0.0,) * 7), judged).weights
        assert min(mean, worst, first) >= 0
        assert max(repeats, refuses, cut) <= 0


def test_an_empty_answer_is_not_believed() -> None:
    assert probability(DEFAULT, signs_of("", [], cut=False)) < 0.01


@given(st.lists(st.floats(-20, 0), max_size=60), st.text(max_size=200), st.booleans())
def test_any_answer_has_a_probability(logprobs: list[float], text: str, cut: bool) -> None:
    assert 0 <= probability(DEFAULT, signs_of(text, logprobs, cut=cut)) <= 1


def _answers(count: int, seed: int = 1) -> list[Judged]:
    """Of a model that is right more often the surer it is, and by a rule that the default does not know."""
    rng = random.Random(seed)
    judged = []
    for _ in range(count):
        mean = -rng.random() * 2
        signs = Signs(mean, mean, mean, 0.0, 0.0, 0.0, 1.0)
        judged.append(Judged(signs, rng.random() < 1 / (1 + math.exp(-(4 * mean + 3)))))
    return judged


def _outcomes(calibration: Calibration, judged: list[Judged]) -> list[Outcome]:
    return [Outcome(probability(calibration, one.signs), one.right) for one in judged]


def test_the_users_own_outcomes_calibrate_it() -> None:
    learned = calibrate(DEFAULT, _answers(400))
    unseen = _answers(2000, seed=2)
    assert calibration_error(_outcomes(learned, unseen)) < 0.05
    assert calibration_error(_outcomes(learned, unseen)) < calibration_error(_outcomes(DEFAULT, unseen)) / 2
    assert learned.answers == 400


def test_a_few_outcomes_move_it_a_little() -> None:
    signs = Signs(-0.1, -0.2, -0.1, 0.0, 0.0, 0.0, 1.0)
    before = probability(DEFAULT, signs)
    after = probability(calibrate(DEFAULT, [Judged(signs, False)]), signs)
    assert before - 0.3 < after < before
    assert calibrate(DEFAULT, []) is DEFAULT


def test_what_is_half_known_moves_it_half_as_far() -> None:
    signs = Signs(-0.1, -0.2, -0.1, 0.0, 0.0, 0.0, 1.0)
    whole = probability(calibrate(DEFAULT, [Judged(signs, False)] * 10), signs)
    half = probability(calibrate(DEFAULT, [Judged(signs, False, 0.5)] * 10), signs)
    assert whole < half < probability(DEFAULT, signs)
    assert half == pytest.approx(probability(calibrate(DEFAULT, [Judged(signs, False)] * 5), signs))


def test_outcomes_that_are_all_alike_do_not_run_away() -> None:
    signs = Signs(-0.1, -0.2, -0.1, 0.0, 0.0, 0.0, 1.0)
    learned = calibrate(DEFAULT, [Judged(signs, True)] * 1000)
    assert all(math.isfinite(weight) for weight in learned.weights)
    assert probability(learned, signs) > 0.95


def test_a_ranking_is_scored_by_its_pairs() -> None:
    perfect = [Outcome(0.9, True), Outcome(0.8, True), Outcome(0.2, False)]
    assert auc(perfect) == 1
    assert auc([Outcome(0.1, True), Outcome(0.9, False)]) == 0
    assert auc([Outcome(0.5, True), Outcome(0.5, False)]) == 0.5
    assert auc([Outcome(0.5, True)]) == 0.5


def test_reliability_is_told_by_bins() -> None:
    outcomes = [Outcome(0.95, True)] * 9 + [Outcome(0.95, False)] + [Outcome(0.15, False)] * 10
    (low, high) = reliability(outcomes)
    assert (low.answers, low.right) == (10, 0)
    assert (high.answers, high.right) == (10, 0.9)
    assert calibration_error(outcomes) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_risk_falls_with_the_coverage_of_a_good_confidence() -> None:
    outcomes = [Outcome(number / 100, number >= 40) for number in range(100)]
    full, half = risk_at(outcomes, (1.0, 0.5))
    assert full.risk == pytest.approx(0.4)
    assert (half.risk, half.threshold) == (0.0, 0.5)
