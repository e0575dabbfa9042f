"""What one keystroke costs in files of 100 to 100,000 lines, through the real ingle-lsp and the real daemon.

In the middle of each file somebody types a line; every character is a change and a request. With the scripted backend
the time is our own alone; with the model (one token, the same lines around the cursor) it is what a user waits. The
files take turns, so that a machine that becomes slower is so for all of them.

    PYTHONPATH=tests python tests/bench/scale.py [--json] [--rounds N]
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict

import support
from bench import report
from bench.bare import source_text
from lsp import editor

LINES = (100, 1_000, 10_000, 100_000)
KEYSTROKES = 20
TYPED = "value = self._get_option_tuples(option_string, explicit_argument) or []  # "


def main() -> None:
    options = report.options("One keystroke in files of many sizes.", rounds=15)
    rows: list[report.Row] = []
    for name, instance in (
        ("ours alone", support.new_instance(INGLE_BACKEND="scripted")),
        ("with the model", support.fim_instance()),
    ):
        try:
            rows += asyncio.run(_measure(name, instance, options.rounds))
        finally:
            instance.close()
    report.show("milliseconds from a keystroke to its answer", rows, as_json=options.as_json)


async def _measure(name: str, instance: support.Instance, rounds: int) -> list[report.Row]:
    times: dict[int, list[float]] = defaultdict(list)
    async with editor.started(instance.env, options={"maxTokens": 1}) as typed:
        for _ in range(rounds):
            for lines in LINES:
                times[lines] += await _type(typed, _file(lines), lines // 2)
    whole = statistics.median(times[1_000])  # the first file that fills the prompt
    return [
        {
            "": name,
            "lines": lines,
            "p50": round(statistics.median(taken), 1),
            "p95": round(report.percentile(taken, 95), 1),
            "p50 against 1,000 lines": round(statistics.median(taken) / whole, 2) if lines >= 1_000 else None,
        }
        for lines, taken in times.items()
    ]


async def _type(typed: editor.Editor, text: str, line: int) -> list[float]:
    """Milliseconds of each of `KEYSTROKES` characters at the start of `line`, once the file is known."""
    typed.open(text)
    await typed.complete(line, 0)
    times = []
    for column in range(KEYSTROKES):
        begin = time.perf_counter()
        typed.type(line, column, TYPED[column])
        await typed.complete(line, column + 1)
        times.append((time.perf_counter() - begin) * 1000)
    return times


def _file(lines: int) -> str:
    """Real code, repeated; the same lines around the middle whatever the size, as far as there are so many.

    A file of 100 lines makes a shorter prompt, and costs the model less: sizes are to be compared from
    1,000 lines up.
    """
    source = source_text().splitlines(keepends=True)
    middle = lines // 2
    return "".join(source[(at - middle) % len(source)] for at in range(lines))


if __name__ == "__main__":
    main()
