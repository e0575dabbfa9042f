"""Where the time of one completion goes, from the editor's request to its answer, in a file of 5,000 lines.

Somebody types a line in the middle; every character is a change and a request, through the real ingle-lsp and the real
daemon. With the scripted backend all of the time is our own; with the model the daemon says what was queue, prefill and
decode, and the rest is ours. Beside it: resident memory of ingle-lsp and of the daemon after all that typing.

    PYTHONPATH=tests python tests/bench/latency.py [--json] [--rounds KEYSTROKES]
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict

import psutil

import support
from bench import report
from bench.bare import source_text
from lsp import editor

LINES = 5_000
TYPED = "value = self._get_option_tuples(option_string, explicit_argument) or []  # "
MEBIBYTE = 1 << 20

Phases = dict[str, list[float]]


def main() -> None:
    options = report.options("Where the time of a completion goes.", rounds=300)
    rows: list[report.Row] = []
    remarks: list[str] = []
    for name, instance in (
        ("ours alone", support.new_instance(INGLE_BACKEND="scripted")),
        ("with the model", support.fim_instance()),
    ):
        try:
            phases, memory = asyncio.run(_measure(instance, options.rounds if name == "ours alone" else 60))
        finally:
            instance.close()
        rows += [_row(name, phase, times) for phase, times in phases.items()]
        remarks.append(f"{name}: {memory}")
    report.show(f"milliseconds of a completion in {LINES:,} lines", rows, as_json=options.as_json, remarks=remarks)


async def _measure(instance: support.Instance, keystrokes: int) -> tuple[Phases, str]:
    phases: Phases = defaultdict(list)
    text = "".join((source_text().splitlines(keepends=True) * 3)[:LINES])
    begin = time.perf_counter()
    async with editor.started(instance.env, options={"maxTokens": 1, "minScore": 0}) as typed:
        phases["process start to initialize reply"].append((time.perf_counter() - begin) * 1000)
        typed.open(text)
        await typed.complete(LINES // 2, 0)
        for number in range(keystrokes):
            column = number % len(TYPED)
            begin = time.perf_counter()
            typed.type(LINES // 2, column, TYPED[column])
            await typed.complete(LINES // 2, column + 1)
            phases["request to answer"].append((time.perf_counter() - begin) * 1000)
        for told in instance.call("GET", f"/ingle/why?n={min(keystrokes, 60)}")["completions"]:
            if timings := told.get("timings"):
                phases["queue"].append(timings["queue_ms"])
                phases["prefill"].append(timings["prompt_ms"])
                phases["decode"].append(timings["predicted_ms"])
        processes = {"ingle-lsp": typed.pid, "ingled": instance.pid}
        memory = ", ".join(
            f"{name} {psutil.Process(pid).memory_info().rss / MEBIBYTE:.0f} MB" for name, pid in processes.items()
        )
    return phases, f"{memory} after {keystrokes} keystrokes"


def _row(name: str, phase: str, times: list[float]) -> report.Row:
    return {
        "": name,
        "phase": phase,
        "p50": round(statistics.median(times), 2),
        "p95": round(report.percentile(times, 95), 2) if len(times) > 1 else None,
    }


if __name__ == "__main__":
    main()
