"""Guesses by prompt lookup."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.engine.draft import LONGEST, PromptLookup


def test_what_followed_the_last_time_is_proposed() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 8) == [4, 5, 9, 1, 2, 3]


def test_the_latest_occurrence_counts() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3], 1) == [5]


def test_what_never_stood_before_has_no_guess() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 5], 8) == []
    assert PromptLookup().propose([1], 8) == []


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 20))
def test_growing_finds_what_a_search_finds(tokens: list[int], count: int) -> None:
    lookup = PromptLookup()
    for length in range(len(tokens) + 1):
        known = tokens[:length]
        starts = [at for at in range(3, length) if known[at - 3 : at] == known[-3:]]
        expected = known[starts[-1] : starts[-1] + min(count, LONGEST)] if starts else []
        assert lookup.propose(known, count) == expected
