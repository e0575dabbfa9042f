"""Models with one state for all their tokens: nothing of it is taken back, and what is reused is reused whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mamba_file
from engines import SLOTS, Bench
from ingle_daemon.engine.opening import open_model
from ingle_daemon.engine.runner import Runner, RunnerOptions

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def runner(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    path = mamba_file.write(tmp_path_factory.mktemp("mamba") / "mamba.gguf", starter)
    runner = open_model(RunnerOptions(str(path), 1024, 1, 0, "auto", 256, SLOTS), exact=False)
    runner.vocab._ends = frozenset()  # it would end where it pleases
    yield runner
    runner.close()


def test_it_is_known_for_what_it_is(runner: Runner) -> None:
    assert (runner.rewinds, runner.splices, runner.interruptible, runner.exact) == (False, False, False, False)


def test_a_prompt_that_shares_a_head_is_evaluated_anew(runner: Runner, code: list[int]) -> None:
    alone = Bench(runner).answer(0, code[:60] + code[200:230])
    bench = Bench(runner)
    bench.answer(0, code[:120])
    assert bench.answer(1, code[:60] + code[200:230]) == alone
    assert bench.timings[1].cache_n == 0


def test_a_prompt_that_goes_on_goes_on(runner: Runner, code: list[int]) -> None:
    bench = Bench(runner)
    first = bench.answer(0, code[:120])
    longer = [*code[:120], *first[:-1], *code[300:340]]
    alone = Bench(runner).answer(0, longer)
    bench = Bench(runner)
    bench.answer(0, code[:120])
    assert bench.answer(1, longer) == alone
    assert bench.timings[1].cache_n == 120 + len(first) - 1


def test_nothing_is_guessed(runner: Runner, code: list[int]) -> None:
    repeated = code[:20] * 5
    alone = Bench(runner).answer(0, repeated, answer=40)
    assert Bench(runner, wide_is_cheap=True).answer(0, repeated, answer=40) == alone
