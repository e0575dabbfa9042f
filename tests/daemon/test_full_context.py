"""Answers that go on to the very end of the context."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import SLOTS, Bench
from ingle_daemon.engine.runner import Runner, RunnerOptions

pytestmark = pytest.mark.model

CONTEXT = 256
LOOP = "    total = total + value_of(item)\n    count = count + 1\n"


@pytest.fixture(scope="module")
def runner(starter: Path) -> Iterator[Runner]:
    runner = Runner(RunnerOptions(str(starter), CONTEXT, 2, -1, "auto", 64, SLOTS))
    runner.vocab._ends = frozenset()  # only the context ends it
    yield runner
    runner.close()


def whole(bench: Bench, prompt: list[int]) -> list[int]:
    bench.submit(0, prompt, "ask", answer=CONTEXT - len(prompt))
    for _ in range(3 * CONTEXT):
        if not bench.engine.busy:
            return bench.answers[0]
        bench.engine.step()
    pytest.fail("it goes round in circles")


@pytest.mark.parametrize("length", [100, 150, 199])
def test_guesses_reach_the_end_of_the_context_as_plain_decoding_does(runner: Runner, length: int) -> None:
    prompt = runner.vocab.tokenize("1 2 3 4 5 6 7 8 9 10 The cat. The dog. " * 3 + LOOP * 20, special=False)[:length]
    plain = whole(Bench(runner), prompt)
    assert len(plain) == CONTEXT - length
    assert whole(Bench(runner, wide_is_cheap=True), prompt) == plain


def test_many_wrong_guesses_take_no_cell_that_was_promised(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = runner.vocab.tokenize(LOOP * 20, special=False)[:120]
    plain = whole(Bench(runner), prompt)
    monkeypatch.setattr("ingle_daemon.engine.draft.PromptLookup.propose", lambda *_: [5, 6, 7, 8])
    assert whole(Bench(runner, wide_is_cheap=True), prompt) == plain


def test_an_answer_that_makes_room_near_the_end_comes_back(runner: Runner) -> None:
    tokens = runner.vocab.tokenize(Path(random.__file__).read_text(), special=False)
    alone = whole(Bench(runner), tokens[:200])
    bench = Bench(runner)
    bench.submit(0, tokens[:200], "ask", answer=CONTEXT - 200)
    while len(bench.answers[0]) < 40:
        bench.engine.step()
    bench.submit(1, tokens[500:600], "completion", answer=4)
    for _ in range(3 * CONTEXT):
        if bench.engine.busy:
            bench.engine.step()
    assert bench.answers[0] == alone
    assert len(bench.answers[1]) == 4
