"""The line below the prompt, in wide and narrow terminals."""

from __future__ import annotations

import pytest

from ingle_daemon.protocol import Done, Fit, Timings
from ingle_shell.repl.toolbar import toolbar

FIT = Fit(1900, 100, 8192)
DONE = Done("end", timings=Timings(predicted_n=148))


def test_a_wide_one_has_model_route_gauge_and_cost() -> None:
    assert toolbar("tiny", "local", FIT, DONE, 0.0123, 80) == "tiny · local · ██░░░░░░ 2,048 of 8,192 · $0.0123 · /help"


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_it_never_fills_the_line(columns: int) -> None:
    assert len(toolbar("a-model-with-a-very-long-name-" * 3, "api", FIT, DONE, 12.5, columns)) <= max(columns - 1, 1)


def test_a_narrow_one_keeps_the_share_and_the_cost() -> None:
    assert toolbar("a-model-with-a-long-name", "auto", FIT, DONE, 0.01, 40) == "a-model-with-a-long-na… · 25% · $0.0100"


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("smollm2-135m-instruct", "smollm2-135m-instruct · 25% · /help"),
        ("qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-1.5b-instruct · 25%"),
        ("a-model-with-quite-a-long-name-indeed", "a-model-with-quite-a-long-name-i… · 25%"),
    ],
)
def test_a_narrow_one_cuts_a_name_only_where_it_must(model: str, line: str) -> None:
    assert toolbar(model, "auto", FIT, DONE, 0, 40) == line


def test_a_name_cannot_reach_the_terminal() -> None:
    assert "\x1b" not in toolbar("\x1b[2Jx", "auto", None, None, 0, 80)
