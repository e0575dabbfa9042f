"""`ingle why` for people."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingle_shell.why import decisions
from shell.fake_daemon import Answer, FakeDaemon
from support import Instance

ENTRY: dict[str, Any] = {
    "at": 0.0,
    "count": 1,
    "id": "1",
    "filename": "a.py",
    "language": "python",
    "ahead": False,
    "characters": {"prefix": 4, "suffix": 0},
    "context": [{"source": "edited", "filename": "b\x1b[31m.py", "characters": 7}],
    "prompt_tokens": 812,
    "answer": "a + b\x1b]0;title\x07",
    "ended": "end",
    "timings": {
        "cache_n": 806, "shelf_n": 0, "splice_n": 512, "prompt_n": 4, "prompt_ms": 41.0,
        "predicted_n": 5, "predicted_ms": 88.0, "queue_ms": 3.0, "pauses": 0,
    },
    "outcome": {"id": "1", "kind": "shown", "score": 0.84, "phases": {"filters": 1.2}},
}  # fmt: skip


def hidden(by: str) -> dict[str, Any]:
    return {**ENTRY, "outcome": {"id": "1", "kind": "hidden", "by": by}}


def test_a_completion_is_told_with_its_cost() -> None:
    (said,) = decisions({"completions": [ENTRY]})
    assert "a.py: shown" in said
    assert "812 tokens: 4 evaluated, 806 reused (512 lent)" in said
    assert "queue 3 ms, prefill 41 ms, decode 88 ms, filters 1 ms" in said
    assert "'a + b' (score 0.84)" in said
    assert "b.py, edited, 7 characters" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (hidden("line_above"), "not shown: it repeated the line above (setting filters.lineAbove)"),
        (hidden("score"), "not shown: the model was not sure enough (setting minScore)"),
        (
            {"at": 0.0, "count": 7, "outcome": {"id": "", "kind": "skipped", "by": "mid_word"}},
            "not asked, 7 times: the cursor stands inside a word (setting gates.midWord)",
        ),
        ({**ENTRY, "outcome": None, "answer": ""}, "superseded: the next key came first"),
        ({**ENTRY, "ahead": True, "outcome": None}, "made ahead"),
    ],
)
def test_nothing_to_see_has_a_reason(entry: dict[str, Any], said: str) -> None:
    assert said in "".join(decisions({"completions": [entry]}))


def test_before_anything_was_completed_it_says_what_to_do(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/why?n=1", Answer({"completions": []}))
    daemon.play("/ingle/answers?n=1", Answer({"answers": []}))
    assert "type in an editor" in instance.run("ingle", "why").stdout


def test_programs_get_it_all(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/why?n=3&prompt=1", Answer({"completions": [ENTRY], "prompt": "x"}))
    daemon.play("/ingle/answers?n=3", Answer({"answers": []}))
    done = instance.run("ingle", "why", "-n", "3", "--prompt", "--json")
    assert json.loads(done.stdout) == {"completions": [ENTRY], "prompt": "x", "answers": []}


def test_how_many_must_be_a_number(instance: Instance) -> None:
    done = instance.run("ingle", "why", "-n", "0")
    assert done.returncode == 2
    assert "count (1 or more)" in done.stderr
