"""How the ways to run llama.cpp's threads bear a machine on which other programs are at work.

Each row decodes and prefills in a process of its own, because OpenMP reads its environment once, while as many busy
loops run as its column says. The first row is what ingle does.

    PYTHONPATH=tests python tests/bench/threads.py [--json] [--rounds N]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import report
from bench.bare import BareEngine, peer_environment, source_text
from ingle_daemon.backends.worker_process import worker_environment
from ingle_daemon.engine.worker import default_threads

PREFILL, DECODE = 256, 48
PATIENCE_S = 5.0
"""What crawls is cut off here; what came by then is measured."""
CHILD = "INGLE_BENCH_THREADS"
"""Set in the processes that measure: with how many threads, and whether they spin as the company allows."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run the engine's threads."""

    name: str
    threads: int
    environment: dict[str, str]
    adapts: bool = False


def main() -> None:
    if wanted := os.environ.get(CHILD):
        print(json.dumps(measure(*json.loads(wanted))))
        return
    options = report.options("Decode and prefill speed beside busy loops, by how threads wait.", rounds=3)
    loads = sorted({0, 1, report.cores()})
    rates: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for load in loads:
            for way in _ways():
                with _busy_loops(load):
                    for what, rate in _in_its_own_process(way).items():
                        rates[way.name, load, what].append(rate)
    report.show(
        "tokens a second, median (lowest..highest), by cores that other programs keep busy",
        [
            {
                "": way.name,
                **{
                    f"{what}, {load} busy": report.Spread.of(rates[way.name, load, what])
                    for what in ("decode", "prefill")
                    for load in loads
                },
            }
            for way in _ways()
        ],
        as_json=options.as_json,
    )


def measure(threads: int, adapts: bool) -> dict[str, float]:
    """Tokens a second in this process."""
    engine = BareEngine(threads=threads, adapts=adapts)
    tokens = engine.tokenize(source_text())
    engine.fill(tokens[:PREFILL], PATIENCE_S)  # maps the weights into memory, and the engine learns its pace
    rates = {
        "prefill": engine.prefill(tokens[PREFILL : 2 * PREFILL], PATIENCE_S),
        "decode": engine.decode(tokens[:8], DECODE, PATIENCE_S),
    }
    engine.close()
    return rates


def _ways() -> list[Way]:
    threads, plain = default_threads(), peer_environment()
    return [
        Way(f"ingle: as the company allows, {threads} threads", threads, worker_environment(), adapts=True),
        Way(f"GOMP_SPINCOUNT=1000, {threads} threads", threads, {**plain, "GOMP_SPINCOUNT": "1000"}),
        Way(f"libgomp's default, {threads} threads", threads, plain),
        Way(f"OMP_WAIT_POLICY=PASSIVE, {threads} threads", threads, {**plain, "OMP_WAIT_POLICY": "PASSIVE"}),
        Way("one thread", 1, plain),
    ]


def _in_its_own_process(way: Way) -> dict[str, float]:
    environment = {**way.environment, CHILD: json.dumps([way.threads, way.adapts])}
    done = subprocess.run([sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    """That many cores' worth of another program's work."""
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
