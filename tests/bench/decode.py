"""How fast the engine's loop decodes and prefills, at three depths, beside llama-bench on the same GGUF.

Ours runs in this process, sampling and text included; llama-bench, where LLAMA_BENCH names it, with as many threads
and the same KV type. Both begin with a cache that holds what makes the depth, and nothing else. In a round ours goes
before llama-bench and again after it, so that a machine that slows down slows both, and a ratio is that of one round.
f16 is llama-bench's default; q8_0 is what ours takes on a CPU. A round takes about five minutes on two cores, most of
it to fill llama-bench's cache to the depth.

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

DEPTHS = (0, 1024, 4096)
PREFILL, DECODE = 256, 32
RUNS_BEFORE, RUNS_AFTER, PEER_RUNS = 6, 6, 8
WARM_UP = 32
"""Tokens after which the processor and its caches decode as before: llama-bench begins with some, too."""

KvName = Literal["f16", "q8_0"]
KV_FLAGS: dict[KvName, list[str]] = {"f16": [], "q8_0": ["-ctk", "q8_0", "-ctv", "q8_0", "-fa", "1"]}

Rates = dict[tuple[str, int, KvName], list[list[float]]]
"""Tokens a second of every run of every round, by what was measured, depth and KV type."""


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
    for _, depth, (kv_type, engine) in itertools.product(range(rounds), DEPTHS, engines.items()):
        place = depth, kv_type
        _begin_round(place, ours, theirs)
        _measure_ours(engine, tokens, place, RUNS_BEFORE, ours)
        if peer:
            _measure_llama_bench(peer, place, theirs)
        _measure_ours(engine, tokens, place, RUNS_AFTER, ours)
    return ours, theirs


def _begin_round(place: tuple[int, KvName], *all_rates: Rates) -> None:
    for rates, what in itertools.product(all_rates, ("prefill", "decode")):
        rates[_key(what, place)].append([])


def _key(what: str, place: tuple[int, KvName]) -> tuple[str, int, KvName]:
    return what, place[0], place[1]


def _measure_ours(engine: BareEngine, tokens: list[int], place: tuple[int, KvName], runs: int, rates: Rates) -> None:
    depth, _ = place
    head = tokens[:depth]
    for _ in range(runs):
        engine.hold(head)
        fresh = random.choices(tokens, k=PREFILL)
        rates[_key("prefill", place)][-1].append(engine.prefill(head + fresh))
    engine.hold(head)
    engine.decode(head or tokens[:1], WARM_UP)
    for _ in range(runs):
        engine.hold(head)
        rates[_key("decode", place)][-1].append(engine.decode(head or tokens[:1], DECODE))


def _measure_llama_bench(peer: str, place: tuple[int, KvName], rates: Rates) -> None:
    depth, kv_type = place
    command = [peer, "-m", str(support.starter_model()), "-t", str(default_threads()), "-d", str(depth)]
    command += ["-p", str(PREFILL), "-n", str(DECODE), "-r", str(PEER_RUNS), "-o", "jsonl", *KV_FLAGS[kv_type]]
    done = subprocess.run(command, capture_output=True, text=True, env=peer_environment(), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr}")
    for line in done.stdout.splitlines():
        test = json.loads(line)
        rates[_key("prefill" if test["n_prompt"] else "decode", place)][-1] += test["samples_ts"]


def _rows(ours: Rates, theirs: Rates) -> list[report.Row]:
    return [
        {
            "": what,
            "depth": depth,
            "KV": kv_type,
            "ingle": _all(rates),
            "llama-bench": _all(theirs[what, depth, kv_type]),
            "ratio": _ratio(rates, theirs[what, depth, kv_type]),
            "to its f16": _ratio(rates, theirs[what, depth, "f16"]),
        }
        for (what, depth, kv_type), rates in sorted(ours.items())
    ]


def _all(rounds: list[list[float]]) -> report.Spread | None:
    rates = [rate for runs in rounds for rate in runs]
    return report.Spread.of(rates) if rates else None


def _ratio(ours: list[list[float]], theirs: list[list[float]]) -> report.Spread | None:
    """Of the rounds' ratios, each of two medians."""
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True) if b]
    return report.Spread.of(ratios) if ratios else None


if __name__ == "__main__":
    main()
