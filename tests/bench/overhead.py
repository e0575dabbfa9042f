"""What ingled adds to the time to the first token, over the bare engine.

The same question goes in turn to an engine driven directly in this process and through the daemon's socket (count,
route, worker, stream). The prompt is in both KV caches, so that prefill is one token and what differs is ours.

    PYTHONPATH=tests python tests/bench/overhead.py [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import support
from bench.bare import BareEngine, as_worker
from ingle_daemon import client
from ingle_daemon.protocol import ChatMessage, ChatPrompt

RUNS = 40
QUESTION = "Name the planets of the solar system, in order, with one fact about each. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to first token: ingled beside the bare engine.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    as_worker()
    bare, through = measure()
    figures = {
        "bare engine": _figures(bare),
        "through ingled": _figures(through),
        "added": _figures([b - a for a, b in zip(bare, through, strict=True)]),
    }
    if options.as_json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'ms to the first token, ' + str(RUNS) + ' runs':40} {'median':>8} {'p95':>8}")
    for name, figure in figures.items():
        print(f"{name:40} {figure['median_ms']:8.2f} {figure['p95_ms']:8.2f}")


def measure() -> tuple[list[float], list[float]]:
    """Milliseconds of every run: bare, and through the daemon."""
    bare: list[float] = []
    through: list[float] = []
    engine = BareEngine()
    with _daemon():
        for run in range(RUNS + 2):
            spans = engine.first_token(ChatPrompt((ChatMessage("user", QUESTION),))), _first_token_through_daemon()
            if run > 1:  # the first two fill the caches
                bare.append(spans[0] * 1000)
                through.append(spans[1] * 1000)
    return bare, through


@contextmanager
def _daemon() -> Iterator[None]:
    instance = support.new_instance(INGLE_MODEL=str(support.starter_model()))
    try:
        instance.call("GET", "/v1/models")
        with instance.active():
            yield
    finally:
        instance.close()


def _first_token_through_daemon() -> float:
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 1}
    begin = time.perf_counter()
    with client.stream("/ingle/ask", body) as events:
        next(event for event in events if event["type"] == "delta")
        return time.perf_counter() - begin


def _figures(spans: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(spans), 2),
        "p95_ms": round(statistics.quantiles(spans, n=20, method="inclusive")[-1], 2),
    }


if __name__ == "__main__":
    main()
