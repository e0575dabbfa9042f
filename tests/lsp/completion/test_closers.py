"""What an editor closes by itself is told from other text, and never left behind twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.closers import left_open, put_in, replaced

MARKS = st.text("ab ()[]{}\"'`\\\n", max_size=20)


@pytest.mark.parametrize(
    ("text", "closers"),
    [
        ("", ""),
        ("f(", ")"),
        ("f(a[", "])"),
        ('f("', '")'),
        ("f(a)", ""),
        ('f("(', ')")'),
        ('f("(")', ""),
        ('f(")', '")'),
        (r'f("\"', '")'),
        ("# don't (", ")'"),
    ],
)
def test_what_a_text_leaves_open(text: str, closers: str) -> None:
    assert left_open(text) == closers


@pytest.mark.parametrize(
    ("typed", "was", "now", "found"),
    [
        ("(", "\n", ")\n", ")"),
        ("([", ")\n", "]))\n", "])"),
        ('f("', "", '")', '")'),
        ('f("', "", ")", ")"),
        ("(a)", "\n", "\n", ""),
        ("don't", "\n", "\n", ""),
        ("a", "\n", ")\n", None),
        ("(", "\n", "]\n", None),
        ("([", "\n", ")]\n", None),
        ("(a)", "\n", ")\n", None),
        ("(", ")\n", "\n", None),
    ],
    ids=[
        "one",
        "nested, before one that was there",
        "string",
        "quotes are not closed",
        "typed over",
        "apostrophe",
        "nothing opened",
        "another kind",
        "wrong order",
        "closed already",
        "taken away",
    ],
)
def test_what_the_editor_put_in(typed: str, was: str, now: str, found: str | None) -> None:
    assert put_in(typed, was, now) == found


@pytest.mark.parametrize(
    ("rest", "closers", "gone"),
    [
        ("a): f(a)", ")", ")"),
        ("a, b", ")", ""),
        ("f(a)", ")", ""),
        ("1]", "])", "]"),
        ("1]) + 2", "])", "])"),
        ("\n    a,\n):", ")", ")"),
        ('")")', ")", ")"),
        ('")"', ")", ""),
        ('hello) there"', '")', '"'),
        ("it's\"): y", '")', '")'),
        (r'\""', '"', '"'),
        (r"\"", '"', ""),
        ('a", "b', '")', '"'),
    ],
)
def test_a_closer_that_the_rest_brings_is_replaced(rest: str, closers: str, gone: str) -> None:
    assert replaced(rest, closers, closers) == gone


def test_a_string_that_the_editor_has_not_closed_is_known() -> None:
    assert replaced('a"): x "b"', '")', ")") == ")"


@given(MARKS, MARKS)
def test_where_nothing_was_put_in_nothing_is_found(typed: str, after: str) -> None:
    assert put_in(typed, after, after) == ""


@given(MARKS, MARKS, st.text(")]}\"'`", max_size=4))
def test_only_what_stands_behind_the_cursor_is_replaced(typed: str, rest: str, closers: str) -> None:
    assert closers.startswith(replaced(rest, left_open(typed), closers))


@dataclass(frozen=True)
class Closing:
    """Which openers an editor closes by itself."""

    quotes: bool

    def typing(self, text: str) -> Iterator[tuple[str, str]]:
        """What was typed and what stands behind the cursor, after each key. A closer can be typed over."""
        behind, in_string = "", False
        for at, key in enumerate(text, 1):
            if behind.startswith(key):
                behind = behind[1:]
            elif key == '"' and self.quotes and not in_string:
                behind = key + behind
            elif key in "([{" and not in_string:
                behind = {"(": ")", "[": "]", "{": "}"}[key] + behind
            in_string ^= key == '"'
            yield text[:at], behind


WORDS = st.text("ab ,:\n", max_size=4)
STRINGS = st.text("ab '([{", max_size=4).map(lambda content: f'"{content}"')
CODE = st.recursive(
    st.one_of(WORDS, STRINGS),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["()", "[]", "{}"]), inner).map(lambda pair: pair[0][0] + pair[1] + pair[0][1]),
        st.tuples(inner, inner).map("".join),
    ),
)


@given(CODE, st.sampled_from(["", "\n", ")\n", '"]', "x"]), st.booleans())
def test_at_every_key_the_rest_leads_to_what_was_offered(code: str, after: str, quotes: bool) -> None:
    for typed, behind in Closing(quotes).typing(code):
        now = behind + after
        closers = put_in(typed, after, now)
        assert closers == behind
        rest = code[len(typed) :]
        assert typed + rest + now[len(replaced(rest, left_open(typed), closers)) :] == code + after
