"""What of a model's answer is shown."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.filters import FILTERS, filtered
from ingle_lsp.completion.syntax import Syntax
from ingle_lsp.settings import Filters

ALL = Filters(stray_closers=True, unreadable=True)


def clean(answer: str, hole: Hole) -> str:
    return filtered(answer, hole, ALL).text


@pytest.mark.parametrize(
    ("before", "answer", "after", "shown"),
    [
        pytest.param("x = ", "1", "", "1", id="as it is"),
        pytest.param("x = ", "1  \n", "\ny", "1", id="no white space at the end"),
        pytest.param("def f():", "\n    return 1", "\n", "\n    return 1", id="lines of its own"),
        pytest.param("x", " \n\t\n ", "", "", id="white space alone is nothing"),
        pytest.param("x", "", "", "", id="nothing is nothing"),
        pytest.param("f(", "a, b)", ")", "a, b", id="the closing bracket is there already"),
        pytest.param("f(", "a, b):", "):\n    pass", "a, b", id="the rest of the line is there already"),
        pytest.param("f(", ")", ")", "", id="all of it is there already"),
        pytest.param("a = ", "banana", "a b", "banana", id="an overlap does not cut a word in two"),
        pytest.param("a = [", "1]", "  b", "1]", id="only a true overlap counts"),
        pytest.param(
            "if a:", "\n    b()\n    c()\nd()", "\n    c()\n", "\n    b()", id="ends where the document goes on"
        ),
        pytest.param("    ", "return x", "\n    return x\n", "", id="the next line again is nothing"),
        pytest.param("if (a) {", "\n  b();\n}", "\n}\n", "\n  b();", id="the closing line is there already"),
        pytest.param("a", "\n\n\ndef b():", "", "\n\n\ndef b():", id="blank lines may come first"),
        pytest.param("a", "\r\n  b\r\n", "", "\n  b", id="CRLF from the model"),
        pytest.param("f(", "1)", ")\r\ng()", "1", id="CRLF in the document"),
    ],
)
def test_what_is_shown(before: str, answer: str, after: str, shown: str) -> None:
    assert clean(answer, Hole(before, after)) == shown


@given(answer=st.text(st.sampled_from("ab() \n\r")), after=st.text(st.sampled_from("ab() \n\r")))
def test_it_shows_a_beginning_of_the_answer_and_never_white_space_alone(answer: str, after: str) -> None:
    shown = clean(answer, Hole("x", after))
    assert answer.replace("\r\n", "\n").replace("\r", "\n").startswith(shown)
    assert shown == shown.rstrip()


@pytest.mark.parametrize(
    ("before", "answer", "after", "by"),
    [
        ("x = ", " \n", "", "nothing"),
        ("f(", ")", ")", "suffix_overlap"),
        ("    ", "return x", "\n    return x\n", "suffix_lines"),
        ("    total = 0\n    ", "total = 0", "\n", "line_above"),
        ("x = 1", ")", "\n", "stray_closers"),
    ],
)
def test_what_leaves_nothing_is_named(before: str, answer: str, after: str, by: str) -> None:
    shown = filtered(answer, Hole(before, after), ALL)
    assert (shown.text, shown.dropped_by) == ("", by)


@pytest.mark.parametrize(
    ("before", "answer", "shown"),
    [
        ("x = f(a", ", b) + g(1))", ", b) + g(1)"),
        ("x = ", "'a)' + b)", "'a)' + b"),
        ("    ", "})", "})"),
        ("x = ", "[1, 2]", "[1, 2]"),
    ],
    ids=["one too many", "in a string it is text", "alone it closes something above", "its own"],
)
def test_closers_that_close_nothing_are_cut(before: str, answer: str, shown: str) -> None:
    assert clean(answer, Hole(before, "\n")) == shown


def test_what_makes_good_code_unreadable_is_not_shown() -> None:
    hole = Hole("def f():\n    ", "\n    return 1\n")
    syntax = Syntax("python")
    syntax.update(hole.before + hole.after)
    shown = filtered("x = [1,\n    y = 2\n    z = 3", hole, ALL, syntax)
    assert shown.dropped_by == "unreadable"
    assert filtered("x = [1, 2]", hole, ALL, syntax).text == "x = [1, 2]"


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_can_be_turned_off(name: str) -> None:
    off = msgspec.structs.replace(ALL, **{name: False})
    cases = {
        "suffix_lines": ("", "a\nb\nc", "\nb\n", "a\nb\nc"),
        "suffix_overlap": ("f(", "a)", ")", "a)"),
        "line_above": ("total = 0\n", "total = 0", "", "total = 0"),
        "stray_closers": ("x", ")", "", ")"),
        "unreadable": ("", "x = (", "", "x = ("),
    }
    before, answer, after, shown = cases[name]
    assert filtered(answer, Hole(before, after), off).text == shown
