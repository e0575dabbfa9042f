"""Figures of runs, answers that count as right, and the table of several models."""

from __future__ import annotations

import pytest

from ingle_shell.bench.results import Result, Run, Score, figures, matches, table

RUNS = (Run(900.0, 512, 1000.0, 64, 2000.0), Run(700.0, 500, 500.0, 64, 1000.0), Run(800.0, 500, 1000.0, 64, 4000.0))
FAST = Result(
    model="qwen",
    load_s=2.04,
    context=8192,
    fim="psm",
    runs=RUNS,
    worker_bytes=1_300_000_000,
    vram_bytes=1_100_000_000,
    answered=Score(7, 8),
    filled=Score(5, 8),
)
SLOW = Result(model="starter", load_s=None, context=2048, runs=RUNS[:1], worker_bytes=280_000_000, answered=Score(1, 8))


def test_a_figure_is_the_median_with_its_spread() -> None:
    assert figures(FAST) == {
        "first_token_ms": (800.0, 700.0, 900.0),
        "prefill": (512.0, 500.0, 1000.0),
        "decode": (32.0, 16.0, 64.0),
    }


def test_a_run_that_took_no_time_has_no_rate() -> None:
    assert figures(Result(model="m", runs=(Run(1.0, 0, 0.0, 0, 0.0),)))["decode"] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("8", "8", True),
        (" 8.\n", "8", True),
        ("`ls`", "ls", True),
        ("false", "False", True),
        ("The answer is 8", "8", False),
        ("88", "8", False),
        ("", "8", False),
    ],
)
def test_what_counts_as_right(said: str, wanted: str, right: bool) -> None:
    assert matches(said, wanted) is right


def test_a_column_a_model_and_what_is_not_known_is_said() -> None:
    rows = {line[:22].strip(): line[22:].split("  ") for line in table([FAST, SLOW], 120).splitlines()}
    told = {name: [cell.strip() for cell in cells if cell.strip()] for name, cells in rows.items()}
    assert told["load"] == ["2.0 s", "not measured"]
    assert told["decode"] == ["32 tokens/s (16 to 64)", "32 tokens/s (32 to 32)"]
    assert told["VRAM"] == ["1.1 GB", "not run here"]
    assert told["answers (small set)"] == ["7 of 8", "1 of 8"]
    assert told["fills in (small set)"] == ["5 of 8", "does not"]


def test_forty_columns_hold_one_model() -> None:
    assert max(map(len, table([FAST], 40).splitlines())) <= 40


def test_one_that_fails_stands_beside_the_others_with_its_reason() -> None:
    lines = table([FAST, Result(model="broken", error="the file is cut short")], 100).splitlines()
    assert lines[-1] == "broken: the file is cut short"
    assert next(line for line in lines if line.strip().startswith("load")).split()[-1] == "-"
