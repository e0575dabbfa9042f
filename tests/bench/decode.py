"""How fast the engine's loop decodes and prefills, at three depths, beside llama-bench on the same GGUF.

Ours runs in this process, sampling and text included; llama-bench, where LLAMA_BENCH names it, with as many threads
and the same KV type. Both begin with a cache that holds what makes the depth, and nothing else. They take turns, ours
before llama-bench and again after it, so that a machine that slows down slows both, and a ratio is that of one turn.
f16 is llama-bench's default; q8_0 is what ours takes on a CPU. A round takes about ten minutes on two cores, most of
it to fill llama-bench's cache to the depth: the less there is to fill, the more turns.

    [LLAMA_BENCH=.../llama-bench] PYTHONPATH=tests python tests/bench/decode.py [--json] [--rounds N]
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from typing import Literal

import support
from bench import report
from bench.bare import BareEngine, as_worker, peer_environment, source_text
from ingle_daemon.engine.worker import default_threads

TURNS = {0: 10, 1024: 3, 4096: 1}
"""In a round, by depth."""
PREFILL, DECODE = 256, 32
RUNS_BEFORE, RUNS_AFTER, PEER_RUNS = 3, 3, 4
WARM_UP = 32
"""Tokens after which the processor and its caches decode as before: llama-bench begins with some, too."""

KvName = Literal["f16", "q8_0"]
Test = Literal["prefill", "decode"]
TEST_FLAGS: dict[Test, list[str]] = {
    "prefill": ["-p", str(PREFILL), "-n", "0"],
    "decode": ["-p", "0", "-n", str(DECODE)],
}
KV_FLAGS: dict[KvName, list[str]] = {"f16": [], "q8_0": ["-ctk", "q8_0", "-ctv", "q8_0", "-fa", "1"]}

Place = tuple[Test, int, KvName]
"""What is measured, at which depth, with which KV type."""
Rates = dict[Place, list[list[float]]]
"""Tokens a second of every run of every turn."""


def main() -> None:
    options = report.options("Decode and prefill speed, beside llama-bench.", rounds=1)
    as_worker()
    peer = report.peer("LLAMA_BENCH")
    ours, theirs = measure(peer, options.rounds)
    report.show(
        f"tokens a second, median (lowest..highest), {default_threads()} threads",
        _rows(ours, theirs),
        as_json=options.as_json,
        remarks=[] if peer else ["llama-bench is left out: LLAMA_BENCH does not name it."],
    )


def measure(peer: str | None, rounds: int) -> tuple[Rates, Rates]:
    """Ours, and llama-bench's."""
    ours: Rates = defaultdict(list)
    theirs: Rates = defaultdict(list)
    engines = {kv_type: BareEngine(kv_type=kv_type) for kv_type in KV_FLAGS}
    tokens = engines["q8_0"].tokenize(source_text())
    for _, depth, (kv_type, engine), test in itertools.product(range(rounds), TURNS, engines.items(), TEST_FLAGS):
        place: Place = test, depth, kv_type
        for _ in range(TURNS[depth]):
            before = _measured(engine, tokens, place, RUNS_BEFORE)
            if peer:
                theirs[place].append(_measured_by_llama_bench(peer, place))
            ours[place].append(before + _measured(engine, tokens, place, RUNS_AFTER))
    return ours, theirs


def _measured(engine: BareEngine, tokens: list[int], place: Place, runs: int) -> list[float]:
    test, depth, _ = place
    head = tokens[:depth]
    if test == "prefill":
        return [_prefill(engine, head, random.choices(tokens, k=PREFILL)) for _ in range(runs)]
    _decode(engine, head or tokens[:1], WARM_UP)
    return [_decode(engine, head or tokens[:1], DECODE) for _ in range(runs)]


def _prefill(engine: BareEngine, head: list[int], fresh: list[int]) -> float:
    engine.hold(head)
    return engine.prefill(head + fresh)


def _decode(engine: BareEngine, head: list[int], count: int) -> float:
    engine.hold(head[:-1])
    return engine.decode(head, count)


def _measured_by_llama_bench(peer: str, place: Place) -> list[float]:
    test, depth, kv_type = place
    command = [peer, "-m", str(support.starter_model()), "-t", str(default_threads()), "-d", str(depth)]
    command += [*TEST_FLAGS[test], "-r", str(PEER_RUNS), "-o", "jsonl", *KV_FLAGS[kv_type]]
    done = subprocess.run(command, capture_output=True, text=True, env=peer_environment(), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    rates: list[float] = json.loads(done.stdout)["samples_ts"]
    return rates


def _rows(ours: Rates, theirs: Rates) -> list[report.Row]:
    return [
        {
            "": test,
            "depth": depth,
            "KV": kv_type,
            "ingle": _all(rates),
            "llama-bench": _all(theirs[test, depth, kv_type]),
            "ratio": _ratio(rates, theirs[test, depth, kv_type]),
            "to its f16": _ratio(rates, theirs[test, depth, "f16"]),
        }
        for (test, depth, kv_type), rates in sorted(ours.items())
    ]


def _all(turns: list[list[float]]) -> report.Spread | None:
    rates = [rate for runs in turns for rate in runs]
    return report.Spread.of(rates) if rates else None


def _ratio(ours: list[list[float]], theirs: list[list[float]]) -> report.Spread | None:
    """Of the turns' ratios, each of two medians."""
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True) if b]
    return report.Spread.of(ratios) if ratios else None


if __name__ == "__main__":
    main()
