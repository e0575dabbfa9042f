"""Where an answer ends while it streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.stops import plan_for, stop_of


@pytest.mark.parametrize(
    ("before", "answer", "after", "kept", "why"),
    [
        pytest.param("x = ", "1\ny", "", "1", "line", id="a line that was begun is finished"),
        pytest.param("x = 1", "\ny = 2\nz", "", "\ny = 2", "line", id="after a complete line comes the next one"),
        pytest.param("f(", "a)\ng", ")\n", "a)", "line", id="one line where the cursor's line goes on"),
        pytest.param(
            "    ", "a = 1\n    b = 2\n\n    c", "", "a = 1\n    b = 2", "blank", id="a block ends at a blank line"
        ),
        pytest.param("    ", "a = 1\nb = 2\n", "", "a = 1", "dedent", id="a block ends with its indentation"),
        pytest.param("    ", "a\n    end\n", "\n    end\n", "a", "suffix", id="ends where the document goes on"),
        pytest.param("", "a\na\na\na\n", "", "a\na", "repetition", id="ends when it repeats itself"),
    ],
)
def test_it_ends(before: str, answer: str, after: str, kept: str, why: str) -> None:
    stop = stop_of(answer, plan_for(Hole(before, after)), before.rpartition("\n")[2])
    assert stop
    assert (answer[: stop.at], stop.why) == (kept, why)


@pytest.mark.parametrize(
    ("before", "answer"),
    [
        ("def f(a", ", b):\n    return a"),
        ("if (a", ") {\n  b()"),
        ("", "a = 1\nb = 2"),
        ("x = ", "1"),
    ],
    ids=["a header's block", "braces", "a block", "no line is whole yet"],
)
def test_it_goes_on(before: str, answer: str) -> None:
    assert stop_of(answer, plan_for(Hole(before, "")), before) is None


@given(st.text("ab \n{:", max_size=60), st.text("ab \n", max_size=20), st.integers(0, 60))
def test_more_of_an_answer_never_moves_its_end(answer: str, after: str, shown: int) -> None:
    plan = plan_for(Hole("  x", after))
    early, late = stop_of(answer[:shown], plan, "  x"), stop_of(answer, plan, "  x")
    assert early is None or early == late
