"""What guessing by prompt lookup gains: the same greedy answers with guesses and without, token for token.

Edit-like text is a function of the standard library, and the beginning of the same with one name changed, to be gone on
with: most of what follows stands before. Beside it stands text that repeats nothing. Guesses are made as often as this
machine's measured cost of a step says; without them the engine is the same.

The model is the starter, or the one that MODEL names: how much guessing gains depends on its quantization.

    [MODEL=model.gguf] PYTHONPATH=tests python tests/bench/speculation.py [--json] [--rounds PLACES]
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import support
from bench import report
from bench.bare import BareEngine, as_worker, source_text
from ingle_daemon.engine.draft import StepTimes
from ingle_daemon.protocol import Delta, TokenPrompt

ORIGINAL, BEGUN, ANSWER = 320, 80, 200
"""Tokens of the text as it was, of the edit as far as it is done, and of what is generated."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The tokens, and how long they took after the first."""

    tokens: tuple[int, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return (len(self.tokens) - 1) / self.seconds


def main() -> None:
    options = report.options("Prompt lookup against plain decoding, token for token.", rounds=8)
    as_worker()
    model = Path(os.environ.get("MODEL") or support.starter_model())
    plain, guessing = BareEngine(model=model), BareEngine(model=model, guesses=True)
    rng = random.Random(1)
    kinds = {"edit-like": _edits(plain, rng), "nothing repeated": _prose(plain, rng)}
    rows = [
        _row(name, plain, guessing, [next(prompts) for _ in range(options.rounds)]) for name, prompts in kinds.items()
    ]
    report.show(
        f"{model.name}, tokens a second, median (lowest..highest)",
        rows,
        as_json=options.as_json,
        remarks=[_cost(guessing.times)],
    )


def _row(name: str, plain: BareEngine, guessing: BareEngine, prompts: list[list[int]]) -> report.Row:
    without, with_guesses = [], []
    for prompt in prompts:
        without.append(_answer(plain, prompt))
        with_guesses.append(_answer(guessing, prompt))
    if any(a.tokens != b.tokens for a, b in zip(without, with_guesses, strict=True)):
        sys.exit("the answers differ")
    seconds, guessed_seconds = sum(one.seconds for one in without), sum(one.seconds for one in with_guesses)
    return {
        "": name,
        "answers, all the same": len(prompts),
        "plain": report.Spread.of([one.rate for one in without]),
        "guessing": report.Spread.of([one.rate for one in with_guesses]),
        "ratio": report.Spread.of([b.rate / a.rate for a, b in zip(without, with_guesses, strict=True)]),
        "ratio of all": round(seconds / guessed_seconds, 2),
    }


def _cost(times: StepTimes) -> str:
    """What a token costs beside the last one, as the engine found it."""
    more = (times.wide(2) - times.single) / times.single
    return f"a token in company costs {more:.2f} of one alone, measured when the model was loaded"


def _answer(engine: BareEngine, prompt: list[int]) -> Answered:
    _, events = engine.run(TokenPrompt(tuple(prompt)), ANSWER)
    deltas = [(moment, event.tokens) for moment, event in events if isinstance(event, Delta) and event.tokens]
    tokens = tuple(token for _, some in deltas for token in some)
    return Answered(tokens, deltas[-1][0] - deltas[0][0])


def _edits(engine: BareEngine, rng: random.Random) -> Iterator[list[int]]:
    """A text, and the same again as far as it was changed."""
    lines = source_text().splitlines(keepends=True)
    while True:
        start = rng.randrange(len(lines) - 200)
        original = engine.tokenize("".join(lines[start : start + 100]))[:ORIGINAL]
        edited = engine.tokenize("".join(lines[start : start + 100]).replace("self", "this"))[:BEGUN]
        yield [*original, *engine.tokenize("\n\n\n# The same, with `self` renamed to `this`:\n"), *edited]


def _prose(engine: BareEngine, rng: random.Random) -> Iterator[list[int]]:
    """Beginnings that there is nothing to copy from."""
    words = ["harbour", "winter", "bread", "engine", "letters", "orchard", "glass", "river"]
    while True:
        first, second = rng.sample(words, 2)
        yield engine.tokenize(f"A short essay about {first} and {second}, in plain words.\n\n")


if __name__ == "__main__":
    main()
