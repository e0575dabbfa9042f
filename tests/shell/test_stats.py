"""`ingle stats` for people and programs."""

from __future__ import annotations

import json
from typing import Any

from ingle_shell.stats import statistics
from shell.fake_daemon import Answer, FakeDaemon
from support import Instance

SUMMARY: dict[str, Any] = {
    "asked": 40, "hidden": 8, "failed": 0, "shown": 30, "accepted": 12, "acceptance": 0.4, "kept": None,
    "characters": 310, "wait_ms": {"p50": 90.4, "p95": 210.0},
}  # fmt: skip
STATS: dict[str, Any] = {
    "all": SUMMARY,
    "languages": {"python": SUMMARY},
    "skipped": {"mid_word": 7},
    "hidden": {"score": 8},
    "calibration": [
        {"from": 0.0, "to": 0.2, "shown": 0, "taken": None},
        {"from": 0.8, "to": 1.0, "shown": 10, "taken": 0.7},
    ],
}


def test_the_figures_are_told_in_forty_columns() -> None:
    said = statistics(STATS)
    assert "accepted   12 (40% of the shown)" in said
    assert "wait       90 ms median, 210 ms p95" in said
    assert "70% of 10" in said
    assert "0.0 to 0.2" not in said
    assert max(map(len, said.splitlines())) <= 40


def test_nothing_yet_is_said() -> None:
    nothing = {**STATS, "all": {**SUMMARY, "asked": 0}, "skipped": {}}
    assert statistics(nothing) == "nothing was completed in that time"


def test_programs_get_it_all(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/stats?days=7", Answer(STATS))
    assert json.loads(instance.run("ingle", "stats", "--days", "7", "--json").stdout) == STATS


def test_the_real_daemon_counts(instance: Instance) -> None:
    instance.script(rules=[])
    instance.call("POST", "/ingle/outcomes", [{"id": "1", "kind": "shown", "language": "go", "characters": 3}])
    assert "go" in instance.run("ingle", "stats").stdout
