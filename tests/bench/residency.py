"""What a model leaves behind when nobody uses it, and how long the first answer after that takes.

Each round: a completion in a real file (cold), the model unloaded as by `keep_alive`, memory of the worker and of the
daemon before and after; then the next character's completion, timed from the request on. Beside it stand what it is
made of: a load that nobody asks anything of, and a completion of a loaded model.

    PYTHONPATH=tests python tests/bench/residency.py [--json] [--rounds N]
"""

from __future__ import annotations

import time
from typing import Any

import psutil

import support
from bench import report
from bench.bare import source_text
from bench.peer import infill_body
from ingle_lsp.completion.context import Hole

CURSOR_AT = "    def add_argument(self"
MEBIBYTE = 1 << 20

Figures = dict[str, float]


def main() -> None:
    options = report.options("A model unloaded and loaded again.", rounds=5)
    measured = [_round() for _ in range(options.rounds)]
    rows: list[report.Row] = [
        {"": name, "value": report.Spread.of([figures[name] for figures in measured])} for name in measured[0]
    ]
    report.show("unload and return", rows, as_json=options.as_json)


def _round() -> Figures:
    instance = support.fim_instance()
    try:
        cold, tokens = _complete(instance, "")
        daemon = psutil.Process(_status(instance)["pid"])
        worker = psutil.Process(_status(instance)["model"]["worker_pid"])
        held = worker.memory_info().rss / MEBIBYTE
        begin = time.perf_counter()
        instance.call("POST", "/ingle/unload")
        worker.wait(30)
        gone = time.perf_counter() - begin
        kept = daemon.memory_info().rss / MEBIBYTE
        warm, evaluated = _complete(instance, "x")
        load_ms = _status(instance)["model"]["info"]["load_ms"]
        again, _ = _complete(instance, "xy")
        instance.call("POST", "/ingle/unload")
        begin = time.perf_counter()
        instance.call("POST", "/ingle/load")
        loaded = time.perf_counter() - begin
        return {
            "worker's memory before, MB": held,
            "worker's memory after, MB": 0.0 if not worker.is_running() else worker.memory_info().rss / MEBIBYTE,
            "daemon's memory after, MB": kept,
            "unload, snapshot written, ms": gone * 1000,
            "first completion after return, ms": warm,
            "a load without a request, ms": loaded * 1000,
            "of which llama.cpp's own, ms": load_ms,
            "the next completion, ms": again,
            "first completion ever, model loaded, ms": cold,
            "its prompt's tokens": tokens,
            "tokens evaluated after return": evaluated,
        }
    finally:
        instance.close()


def _complete(instance: support.Instance, typed: str) -> tuple[float, int]:
    """Milliseconds and prompt tokens evaluated. The first time the model is loaded before, and not counted."""
    if not typed:
        instance.call("POST", "/ingle/load")
    begin = time.perf_counter()
    answer = instance.call("POST", "/infill", _body(typed))
    return (time.perf_counter() - begin) * 1000, answer["timings"]["prompt_n"]


def _body(typed: str) -> dict[str, Any]:
    text = source_text()
    cursor = text.index(CURSOR_AT)
    return infill_body(Hole(f"{text[:cursor]}{typed}", f"\n{text[cursor:]}"), "argparse.py", 1)


def _status(instance: support.Instance) -> Any:
    return instance.call("GET", "/ingle/status")


if __name__ == "__main__":
    main()
