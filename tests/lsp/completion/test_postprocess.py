"""What of a model's answer is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.postprocess import clean


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
        pytest.param("f(", "a)\ng(b)", ")", "a", id="one line only where something follows the cursor"),
        pytest.param("a = ", "banana", "a b", "banana", id="an overlap does not cut a word in two"),
        pytest.param("a = [", "1]", "  ]", "1]", id="only a true overlap counts"),
        pytest.param(
            "if a:", "\n    b()\n    c()\nd()", "\n    c()\n", "\n    b()", id="ends where the document goes on"
        ),
        pytest.param("    ", "return x", "\n    return x\n", "", id="the next line again is nothing"),
        pytest.param("if (a) {", "\n  b();\n}", "\n}\n", "\n  b();", id="the closing line is there already"),
        pytest.param("a", "\n  b\n\n\nc", "", "\n  b", id="ends at a blank line"),
        pytest.param("a", "\n\n\ndef b():", "", "\n\n\ndef b():", id="blank lines may come first"),
        pytest.param("a", "\r\n  b\r\n\r\nc", "", "\n  b", id="CRLF from the model"),
        pytest.param("f(", "1)\n", ")\r\ng()", "1", id="CRLF in the document"),
    ],
)
def test_what_is_shown(before: str, answer: str, after: str, shown: str) -> None:
    assert clean(answer, Hole(before, after)) == shown


@given(answer=st.text(st.sampled_from("ab() \n\r")), after=st.text(st.sampled_from("ab() \n\r")))
def test_it_shows_a_beginning_of_the_answer_and_never_white_space_alone(answer: str, after: str) -> None:
    shown = clean(answer, Hole("x", after))
    assert answer.replace("\r\n", "\n").replace("\r", "\n").startswith(shown)
    assert shown == shown.rstrip()
