"""Typing what was offered keeps the offer; anything else does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.cache import Completed, Completions
from ingle_lsp.completion.context import Hole


@pytest.fixture
def last() -> Completions:
    last = Completions()
    last.keep("f", Hole("def ", "\n"), Completed("1", "add(a, b):\n    return a"))
    return last


@pytest.mark.parametrize(
    ("before", "rest"),
    [
        ("def ", "add(a, b):\n    return a"),
        ("def add(a", ", b):\n    return a"),
        ("def add(a, b):\n", "    return a"),
        ("def add(a, b):\r\n", "    return a"),
    ],
)
def test_what_was_typed_leaves_the_rest(last: Completions, before: str, rest: str) -> None:
    assert [(left.id, left.text) for left in last.rests("f", Hole(before, "\n"))] == [("1", rest)]


@pytest.mark.parametrize(
    ("key", "hole"),
    [
        ("f", Hole("def x", "\n")),
        ("f", Hole("de", "\n")),
        ("f", Hole("def a", ")\n")),
        ("g", Hole("def a", "\n")),
        ("f", Hole("def add(a, b):\n    return a", "\n")),
        ("f", Hole("def add(a, b):\n    return a + b", "\n")),
    ],
    ids=["other text", "deleted", "changed after the cursor", "other document", "all typed", "typed past it"],
)
def test_anything_else_leaves_nothing(last: Completions, key: str, hole: Hole) -> None:
    assert last.rests(key, hole) == []


@pytest.mark.parametrize(
    ("before", "after", "rest", "replaced"),
    [
        ("def add(", ")\n", "a, b):\n    return a", ")"),
        ("def add(a", ")\n", ", b):\n    return a", ")"),
        ("def add(a, b)", "\n", ":\n    return a", ""),
    ],
    ids=["opened", "typed on", "typed over"],
)
def test_what_the_editor_closed_by_itself_is_replaced(
    last: Completions, before: str, after: str, rest: str, replaced: str
) -> None:
    (left,) = last.rests("f", Hole(before, after))
    assert (left.text, left.replaced, left.adds) == (rest, replaced, True)


def test_the_rest_of_a_rest_replaces_the_closers_of_both(last: Completions) -> None:
    last.keep("f", Hole("x = ", "\n"), Completed("2", "f([1])"))
    last.keep("f", Hole("x = f(", ")\n"), *last.rests("f", Hole("x = f(", ")\n")))
    (left,) = last.rests("f", Hole("x = f([", "])\n"))
    assert (left.text, left.replaced) == ("1])", "])")


def test_a_closer_that_stands_there_is_nothing_to_add(last: Completions) -> None:
    last.keep("f", Hole("x = ", "\n"), Completed("2", "f(a)"))
    (left,) = last.rests("f", Hole("x = f(a", ")\n"))
    assert (left.text, left.adds) == (")", False)


def test_a_closed_document_is_forgotten(last: Completions) -> None:
    last.forget("other")
    assert last.rests("f", Hole("def a", "\n"))
    last.forget("f")
    assert last.rests("f", Hole("def a", "\n")) == []


def test_a_place_that_is_come_back_to_is_known(last: Completions) -> None:
    last.keep("f", Hole("x = ", "\n"), Completed("2", "1"))
    assert last.rests("f", Hole("def ", "\n")) == [Completed("1", "add(a, b):\n    return a")]


def test_of_several_to_choose_from_those_stay_that_begin_as_was_typed(last: Completions) -> None:
    last.keep("f", Hole("x = ", "\n"), Completed("2", "1"), Completed("3", "abs(y)"), Completed("4", "a"))
    assert last.rests("f", Hole("x = ", "\n"))[0] == Completed("2", "1")
    assert last.rests("f", Hole("x = a", "\n")) == [Completed("3", "bs(y)")]


def test_the_oldest_goes_first(last: Completions) -> None:
    for number in range(100):
        last.keep("f", Hole(f"{number} = ", "\n"), Completed(str(number), "1"))
    assert last.rests("f", Hole("def ", "\n")) == []
    assert last.rests("f", Hole("0 = ", "\n"))


@given(st.text("ab\n", max_size=30), st.text("ab\n", min_size=1, max_size=20), st.integers(0, 19))
def test_in_a_long_file_too_only_what_was_typed_counts(head: str, text: str, typed: int) -> None:
    completions = Completions()
    hole = Hole("x" * 5_000 + head, "\n")
    completions.keep("f", hole, Completed("1", text))
    rests = completions.rests("f", Hole(hole.before + text[:typed], "\n"))
    assert [rest.text for rest in rests] == ([text[typed:]] if text[typed:] else [])
