"""What no request looks at leaves the cache: attention passes over it on a CPU, and every token takes longer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import SLOTS, Bench
from ingle_daemon.engine.frames import KvType
from ingle_daemon.engine.runner import Runner, RunnerOptions

pytestmark = pytest.mark.model

CONTEXT, LENGTH, PAUSE_S = 2048, 250, 0.4
LITTLE, MUCH = 256, 1024


@pytest.fixture(scope="module", params=["q8_0", "f16"])
def runner(starter: Path, request: pytest.FixtureRequest) -> Iterator[Runner]:
    kv_type: KvType = request.param
    runner = Runner(RunnerOptions(str(starter), CONTEXT, 2, 0, kv_type, 256, SLOTS))
    yield runner
    runner.close()


def prompts(runner: Runner, count: int) -> list[list[int]]:
    """Of `LENGTH` tokens each, with nothing in common."""
    tokens = runner.vocab.tokenize(Path(random.__file__).read_text(), special=False)
    return [tokens[start : start + LENGTH] for start in range(0, count * LENGTH, LENGTH)]


def rest(bench: Bench) -> None:
    """A moment in which nobody asks for anything."""
    bench.now += PAUSE_S
    bench.engine.rest()


def test_in_a_pause_all_but_the_newest_prompt_goes_to_the_shelf_and_comes_back(runner: Runner) -> None:
    bench = Bench(runner)
    texts = prompts(runner, 4)
    answers = [bench.answer(number, text) for number, text in enumerate(texts)]
    assert bench.table.used > 4 * LENGTH
    rest(bench)
    assert bench.table.used + bench.table.garbage <= LENGTH + 8 + LITTLE
    again = [bench.answer(number, text) for number, text in enumerate(texts, 10)]
    assert again == answers or not runner.exact
    costs = [bench.timings[number] for number in range(10, 14)]
    assert [cost.prompt_n for cost in costs] == [1, 1, 1, 1]
    assert [bool(cost.shelf_n) for cost in costs] == [True, True, True, False]


def test_who_never_pauses_is_tidied_up_for_between_two_requests(runner: Runner) -> None:
    bench = Bench(runner)
    for number, text in enumerate(prompts(runner, 8)):
        bench.answer(number, text)
        assert bench.table.used + bench.table.garbage < MUCH + 2 * (LENGTH + 8)
    assert bench.answer(20, prompts(runner, 1)[0]) == bench.answers[0] or not runner.exact
    assert bench.timings[20].shelf_n


def test_a_pause_leaves_alone_what_is_in_use(runner: Runner) -> None:
    first, second = prompts(runner, 2)
    expected = Bench(runner).answer(0, first, answer=40)
    bench = Bench(runner)
    bench.submit(0, first, "ask", answer=40)
    while len(bench.answers[0]) < 10:
        bench.engine.step()
    bench.answer(1, second)
    bench.finish()
    rest(bench)
    assert bench.answers[0] == expected or not runner.exact
    bench.answer(2, first)
    assert bench.timings[2].prompt_n == 1
    assert not bench.timings[2].shelf_n
