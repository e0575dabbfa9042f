"""What an hour of typing leaves in ingle-lsp's memory: 21,000 keystrokes through the real process, as fast as they go.

Somebody types code in a file of 2,000 lines, a character a change and a request, with a new line after every 60; every
30th character is taken back, every 500 keystrokes another of three files is gone to. All context sources are on, the
daemon answers from a script. Resident memory is read along the way.

    PYTHONPATH=tests python tests/bench/memory.py [--json] [--rounds KEYSTROKES]
"""

from __future__ import annotations

import asyncio
import time

import psutil

import support
from bench import report
from bench.bare import source_text
from lsp import editor

LINES = 2_000
TYPED = "value = self._get_option_tuples(option_string, argument) or None"[:60]
FILES = tuple(f"file:///code/app/module_{number}.py" for number in range(3))
OPTIONS = {
    "debounceMs": 0,
    "candidates": 1,
    "context": {"edited": True, "visited": True, "open": True, "diagnostics": True},
}
MEBIBYTE = 1 << 20
READINGS = 10


def main() -> None:
    options = report.options("Memory after an hour of typing.", rounds=21_000)
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": "", "answer": "next_value(self, 1)\n"}])
    try:
        rows = asyncio.run(_measure(instance, options.rounds))
    finally:
        instance.close()
    report.show("resident memory of ingle-lsp", rows, as_json=options.as_json)


async def _measure(instance: support.Instance, keystrokes: int) -> list[report.Row]:
    text = "".join((source_text().splitlines(keepends=True) * 3)[:LINES])
    async with editor.started(instance.env, options=OPTIONS) as typed:
        process = psutil.Process(typed.pid)
        rows = [_reading(process, 0, time.perf_counter())]
        for uri in FILES:
            typed.open(text, uri=uri)
        begin = time.perf_counter()
        for number in range(keystrokes):
            await _key(typed, number)
            if (number + 1) % max(keystrokes // READINGS, 1) == 0:
                rows.append(_reading(process, number + 1, begin))
    return rows


async def _key(typed: editor.Editor, number: int) -> None:
    """One keystroke and the request that follows it."""
    uri = FILES[number // 500 % len(FILES)]
    column = number % len(TYPED)
    line = LINES // 2 + number // len(TYPED) % 400
    typed.type(line, column, TYPED[column] if column < len(TYPED) - 1 else "\n", uri=uri)
    if number % 30 == 29 and 0 < column < len(TYPED) - 1:
        typed.erase(line, column, uri=uri)
        typed.type(line, column, TYPED[column], uri=uri)
    await typed.complete(line, column + 1, uri=uri)


def _reading(process: psutil.Process, keystrokes: int, begin: float) -> report.Row:
    return {
        "keystrokes": keystrokes,
        "seconds": round(time.perf_counter() - begin, 1),
        "MB": round(process.memory_info().rss / MEBIBYTE, 1),
    }


if __name__ == "__main__":
    main()
