"""What the prompts of earlier requests in the KV cache cost a new one, and what is left of that with most on the shelf.

On a CPU attention passes over every cell in the cache, whosever it is. The cache is filled with prompts that nobody
asks about any more; then new short ones are read and answered, as ingle does it (all but the newest go to the shelf in
a pause), and with all of them left where they are.

    PYTHONPATH=tests python tests/bench/neighbours.py [--json] [--rounds N]
"""

from __future__ import annotations

from bench import report
from bench.bare import BareEngine, as_worker, source_text
from ingle_daemon.engine.frames import KvType

IDLE = (0, 2000, 7000)
"""Tokens of earlier prompts, of the 8,192 that the cache holds."""
EARLIER, NEW, DECODE = 500, 90, 24
"""Tokens of a prompt each, and of an answer."""
KV_TYPES: tuple[KvType, ...] = ("q8_0", "f16")


def main() -> None:
    options = report.options("What idle prompts in the KV cache cost a new one.", rounds=3)
    as_worker()
    rows = []
    for kv_type in KV_TYPES:
        for tidies in (True, False):
            engine = BareEngine(kv_type=kv_type, slots=16, tidies=tidies)
            rows += [_row(engine, idle, options.rounds, kv_type, tidies) for idle in IDLE]
            engine.close()
    report.show(
        f"tokens a second: prompts of {NEW} tokens, answers of {DECODE}, median (lowest..highest)",
        rows,
        as_json=options.as_json,
    )


def _row(engine: BareEngine, idle: int, rounds: int, kv_type: KvType, tidies: bool) -> report.Row:
    tokens = engine.tokenize(source_text())
    engine.hold([])
    for start in range(0, idle, EARLIER):
        engine.fill(tokens[start : start + EARLIER])
    prefill, decode = [], []
    for start in range(max(IDLE), max(IDLE) + rounds * NEW, NEW):
        prompt = tokens[start : start + NEW]
        prefill.append(engine.prefill(prompt))
        decode.append(engine.decode(prompt, DECODE))
    return {
        "KV": kv_type,
        "earlier prompts": "on the shelf" if tidies else "left in the cache",
        "tokens": idle,
        "prefill": report.Spread.of(prefill),
        "decode": report.Spread.of(decode),
    }


if __name__ == "__main__":
    main()
