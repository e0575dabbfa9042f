"""Guesses by prompt lookup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.engine.draft import LONGEST, PromptLookup, StepTimes

FREE = StepTimes(single=0.01, shared=0.01)
"""As on a GPU: a token in company costs nothing."""
HALF = StepTimes(single=0.01, shared=0.005)
"""As on a CPU."""


def test_what_followed_the_last_time_is_proposed() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 8, FREE) == [4, 5, 9, 1, 2, 3]


def test_the_latest_occurrence_counts() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3], 1, FREE) == [5]


def test_what_never_stood_before_has_no_guess() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 5], 8, FREE) == []
    assert PromptLookup().propose([1], 8, FREE) == []


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 20))
def test_growing_finds_what_a_search_finds(tokens: list[int], count: int) -> None:
    lookup = PromptLookup()
    for length in range(len(tokens) + 1):
        known = tokens[:length]
        starts = [at for at in range(3, length) if known[at - 3 : at] == known[-3:]]
        expected = known[starts[-1] : starts[-1] + min(count, LONGEST)] if starts else []
        assert lookup.propose(known, count, FREE) == expected


def test_a_streak_is_counted_from_the_first_look_on() -> None:
    lookup = PromptLookup()
    text = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    lookup.look(text)
    assert lookup.streak == 0, "that the prompt repeats itself says nothing of the answer"
    lookup.look(text := [*text, 4])
    lookup.look(text := [*text, 5, 6])
    assert lookup.streak == 3
    lookup.look([*text, 9])
    assert lookup.streak == 0


def test_where_a_token_in_company_costs_something_only_what_is_likely_is_guessed() -> None:
    assert [HALF.best_guess(streak, LONGEST) for streak in (0, 3, 10, 100)] == [0, 0, 4, 8]
    assert FREE.best_guess(0, LONGEST) == LONGEST
    assert StepTimes(0.01, shared=0.0).best_guess(1000, LONGEST) == 0


def test_a_guess_makes_no_step_long() -> None:
    slow = StepTimes(single=0.1, shared=0.0501)
    assert slow.best_guess(100, LONGEST) == 1
    assert slow.wide(2) < 0.15 < slow.wide(3)
    assert StepTimes(single=0.3, shared=0.29).best_guess(100, LONGEST) == LONGEST, "not half as long again"


def test_what_a_token_costs_in_company_follows_the_length_of_the_text() -> None:
    """A text of some length makes every token of a step slower, and what they share is the same."""
    times = StepTimes.measured(single=0.007, wide=0.031, width=9)
    assert times.wide(9) == pytest.approx(0.031)
    assert times.guessing_pays
    for _ in range(40):
        times.learn(1, 0.025)
    assert times.wide(9) == pytest.approx(0.025 + 8 * 0.021, rel=0.01)
    assert not times.guessing_pays


def test_a_clock_that_stands_still_teaches_nothing() -> None:
    times = StepTimes(0.01, shared=0.005)
    times.learn(1, 0.0)
    assert times == HALF


def test_what_a_busy_machine_said_when_the_model_was_loaded_is_corrected() -> None:
    """Single steps were held up: a token in company seemed to cost nothing."""
    times = StepTimes(single=0.4, shared=0.4)
    for _ in range(60):
        times.learn(1, 0.0187)
        times.learn(9, 0.0561)
    assert 1 / 1.5 < times.wide(9) / 0.0561 < 1.5
    assert times.best_guess(0, LONGEST) < LONGEST


def test_that_a_second_token_costs_more_than_a_ninth_changes_nothing() -> None:
    times = StepTimes.measured(single=0.007, wide=0.031, width=9)
    before = times.shared
    for _ in range(30):
        times.learn(2, 0.0125)
    assert times.shared == before
