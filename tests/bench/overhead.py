"""What ingled adds to the time to the first token, over the bare engine.

The same question goes in turn to an engine driven directly in this process and through the daemon's socket (count,
route, worker, stream). The prompt is in both KV caches, so that prefill is one token and what differs is ours.

    python tests/bench/overhead.py [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import support
from ingle_daemon import client
from ingle_daemon.backends.worker_process import worker_environment
from ingle_daemon.engine import worker
from ingle_daemon.engine.chat import ChatTemplate
from ingle_daemon.engine.engine import Engine
from ingle_daemon.engine.kv import KvTable
from ingle_daemon.engine.prepare import Preparer
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.scheduler import Capacity
from ingle_daemon.protocol import ChatMessage, ChatPrompt, Delta, GenerateRequest, Limits, Sampling

RUNS = 40
QUESTION = "Name the planets of the solar system, in order, with one fact about each. " * 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Time to first token: ingled beside the bare engine.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    if os.environ != worker_environment():  # OpenMP reads it once, at the start of the process
        os.execve(sys.executable, [sys.executable, *sys.argv], worker_environment())
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
            spans = engine.first_token(), _first_token_through_daemon()
            if run > 1:  # the first two fill the caches
                bare.append(spans[0] * 1000)
                through.append(spans[1] * 1000)
    return bare, through


class BareEngine:
    """The engine's loop without process, socket or route."""

    def __init__(self) -> None:
        options = RunnerOptions(
            path=str(support.starter_model()),
            context=8192,
            threads=worker.default_threads(),
            gpu_layers=-1,
            kv_type="auto",
            batch=256,
            slots=16,
        )
        runner = Runner(options)
        vocab = runner.vocab
        template = ChatTemplate(
            runner.chat_template,
            bos=vocab.spelling(vocab.bos),
            eos=vocab.spelling(vocab.eos),
            special=vocab.special_spellings(),
        )
        self._preparer = Preparer(vocab, template, runner.n_ctx)
        self._first = 0.0
        self._engine = Engine(runner, KvTable(16, runner.n_ctx), Capacity(batch=256, prefill=256), self._on_event)

    def first_token(self) -> float:
        request = GenerateRequest(
            ChatPrompt((ChatMessage("user", QUESTION),)),
            sampling=Sampling(temperature=0),
            limits=Limits(max_tokens=1),
        )
        begin = time.perf_counter()
        self._engine.submit(1, request, self._preparer.prepare(request), time.monotonic())
        while self._engine.busy:
            self._engine.step()
        return self._first - begin

    def _on_event(self, _: int, event: object) -> None:
        if isinstance(event, Delta):
            self._first = time.perf_counter()


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
