"""How fast the engine's loop decodes and prefills, at three depths, beside llama-bench on the same GGUF.

Ours runs in this process, sampling and text included; llama-bench, where LLAMA_BENCH names it, with as many threads
and the same KV type. In a round ours goes before llama-bench and again after it, so that a machine that slows down
slows both. f16 is llama-bench's default; q8_0 is what ours takes on a CPU. A round takes about five minutes on two
cores, most of it to fill the caches to the depth.

    [LLAMA_BENCH=.../llama-bench] PYTHONPATH=tests python tests/bench/decode.py [--json] [--rounds N]
"""

from __future__ import annotations

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

DEPTHS = (0, 1024, 4096)
PREFILL, DECODE = 256, 32
RUNS_BEFORE, RUNS_AFTER, PEER_RUNS = 2, 2, 3

KvName = Literal["f16", "q8_0"]
KV_FLAGS: dict[KvName, list[str]] = {"f16": [], "q8_0": ["-ctk", "q8_0", "-ctv", "q8_0", "-fa", "1"]}

Rates = dict[tuple[str, int, KvName], list[float]]
"""Tokens a second of every run, by what was measured, depth and KV type."""


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
    for kv_type, flags in KV_FLAGS.items():
        engine = BareEngine(kv_type=kv_type)
        tokens = engine.tokenize(source_text())
        for depth in DEPTHS:
            engine.fill(tokens[: depth or PREFILL])
            for _ in range(rounds):
                _measure_ours(engine, tokens, (depth, kv_type), RUNS_BEFORE, ours)
                if peer:
                    _measure_llama_bench(peer, flags, (depth, kv_type), theirs)
                _measure_ours(engine, tokens, (depth, kv_type), RUNS_AFTER, ours)
        engine.close()
    return ours, theirs


def _measure_ours(engine: BareEngine, tokens: list[int], place: tuple[int, KvName], runs: int, rates: Rates) -> None:
    depth, kv_type = place
    head = tokens[:depth]
    for _ in range(runs):
        fresh = random.choices(tokens, k=PREFILL)  # nothing that stands in the cache already
        rates["prefill", depth, kv_type].append(engine.prefill(head + fresh))
        rates["decode", depth, kv_type].append(engine.decode(head or tokens[:1], DECODE))


def _measure_llama_bench(peer: str, flags: list[str], place: tuple[int, KvName], rates: Rates) -> None:
    depth, kv_type = place
    command = [peer, "-m", str(support.starter_model()), "-t", str(default_threads()), "-d", str(depth)]
    command += ["-p", str(PREFILL), "-n", str(DECODE), "-r", str(PEER_RUNS), "-o", "jsonl", *flags]
    done = subprocess.run(command, capture_output=True, text=True, env=peer_environment(), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    for line in done.stdout.splitlines():
        test = json.loads(line)
        rates["prefill" if test["n_prompt"] else "decode", depth, kv_type] += test["samples_ts"]


def _rows(ours: Rates, theirs: Rates) -> list[report.Row]:
    return [
        {
            "": what,
            "depth": depth,
            "KV": kv_type,
            "ingle": report.Spread.of(rates),
            "llama-bench": report.Spread.of(peer) if (peer := theirs.get((what, depth, kv_type))) else None,
            "ratio": _ratio(rates, peer),
            "to its f16": _ratio(rates, theirs.get((what, depth, "f16"))),
        }
        for (what, depth, kv_type), rates in sorted(ours.items())
    ]


def _ratio(ours: list[float], theirs: list[float] | None) -> float | None:
    return round(statistics.median(ours) / statistics.median(theirs), 3) if theirs else None


if __name__ == "__main__":
    main()
