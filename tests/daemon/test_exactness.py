"""An answer is the same whatever else runs: random schedules on the real model, against each answer alone. Greedy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engines import ANSWER, SLOTS, Bench
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.protocol import Priority

pytestmark = pytest.mark.model

PRIORITIES: tuple[Priority, ...] = ("completion", "ask", "warm-up")


@pytest.fixture(scope="module")
def prompts(runner: Runner) -> list[list[int]]:
    """Prompts of 20 to 150 tokens; some share a head."""
    rng = random.Random(7)
    tokens = runner.vocab.tokenize(Path(random.__file__).read_text(), special=False)
    heads = [tokens[at : at + 60] for at in (0, 500, 1000)]
    return [
        [*rng.choice([[], *heads]), *tokens[(at := rng.randrange(1200, 4000)) : at + rng.randrange(20, 90)]]
        for _ in range(8)
    ]


@pytest.fixture(scope="module")
def alone(runner: Runner, prompts: list[list[int]]) -> list[list[int]]:
    answers = []
    for prompt in prompts:
        bench = Bench(runner)
        bench.submit(0, prompt, "ask")
        bench.finish()
        answers.append(bench.answers[0])
    return answers


@pytest.mark.parametrize(
    ("seed", "wide_is_cheap", "calm"), [(0, False, 0.0), (1, False, 0.5), (2, True, 0.0), (3, True, 0.5)]
)
def test_answers_do_not_depend_on_the_schedule(
    runner: Runner, prompts: list[list[int]], alone: list[list[int]], seed: int, wide_is_cheap: bool, calm: float
) -> None:
    rng = random.Random(seed)
    bench = Bench(runner, wide_is_cheap=wide_is_cheap, undisturbed=lambda: rng.random() < calm)
    waiting = list(range(len(prompts)))
    rng.shuffle(waiting)
    while waiting or bench.engine.busy:
        if waiting and rng.random() < 0.3:
            number = waiting.pop()
            bench.submit(number, prompts[number], rng.choice(PRIORITIES))
        bench.engine.step()
    assert [bench.answers[number] for number in range(len(prompts))] == alone


def test_an_answer_alone_goes_on_within_a_step_until_somebody_comes(
    runner: Runner, prompts: list[list[int]], alone: list[list[int]]
) -> None:
    looks: list[bool] = []
    bench = Bench(runner, undisturbed=lambda: bool(looks) and looks.pop())
    bench.submit(0, prompts[0], "ask")
    while not bench.answers[0]:
        bench.engine.step()
    looks += [False, True, True]
    bench.engine.step()
    assert bench.answers[0] == alone[0][:4]
    bench.submit(1, prompts[1], "completion")
    bench.finish()
    assert [bench.answers[0], bench.answers[1]] == alone[:2]


def test_two_answers_take_turns_however_calm_it_is(runner: Runner, prompts: list[list[int]]) -> None:
    bench = Bench(runner, undisturbed=lambda: True)
    bench.submit(0, prompts[0], "ask")
    bench.submit(1, prompts[1], "ask")
    while not (bench.answers[0] and bench.answers[1]):
        bench.engine.step()
    lengths = [len(bench.answers[0]), len(bench.answers[1])]
    bench.engine.step()
    assert [len(bench.answers[0]), len(bench.answers[1])] == [length + 1 for length in lengths]


def test_an_answer_that_left_the_cache_and_came_back_goes_on_as_if_nothing_had_been(
    starter: Path, prompts: list[list[int]], runner: Runner
) -> None:
    small = Runner(RunnerOptions(str(starter), 256, 2, -1, "auto", 64, SLOTS))
    try:
        whole = Bench(small)
        whole.submit(0, prompts[0][:40] + prompts[1][:80], "ask")
        whole.finish()
        bench = Bench(small)
        bench.submit(0, prompts[0][:40] + prompts[1][:80], "ask")
        while len(bench.answers[0]) < 4:
            bench.engine.step()
        bench.submit(1, (prompts[2] + prompts[3] + prompts[4])[:200], "completion")  # takes its cells
        bench.finish()
        assert bench.answers[0] == whole.answers[0]
        assert len(bench.answers[1]) == ANSWER
    finally:
        small.close()


def test_guesses_change_the_number_of_steps_and_nothing_else(runner: Runner) -> None:
    """A prompt that repeats itself, as edited code does: most guesses are right, and some are not."""
    line = "    total = total + value_of(item)\n    count = count + 1\n"
    prompt = runner.vocab.tokenize(line * 6 + "    total = total", special=False)
    answers, steps = [], []
    for wide_is_cheap in (False, True):
        bench = Bench(runner, wide_is_cheap=wide_is_cheap)
        bench.submit(0, prompt, "completion", answer=60)
        count = 0
        while bench.engine.busy:
            bench.engine.step()
            count += 1
        answers.append(bench.answers[0])
        steps.append(count)
    assert answers[0] == answers[1]
    assert steps[1] < steps[0] * 0.9
    bench.submit(1, [*prompt, *answers[1]], "ask", answer=1)
    bench.finish()
    assert bench.timings[1].prompt_n <= 2, "what was taken back is gone, what was right is known"


def test_a_long_state_on_the_shelf_does_not_keep_out_a_prompt_that_shares_its_head(starter: Path) -> None:
    """Together they are more than the cache holds: the state stays on the shelf, and the prompt is evaluated."""
    small = Runner(RunnerOptions(str(starter), 256, 2, -1, "auto", 64, SLOTS))
    try:
        text = small.vocab.tokenize(Path(random.__file__).read_text(), special=False)
        bench = Bench(small)
        bench.answer(0, text[:180])
        bench.answer(1, text[180:380])  # takes its cells: it goes to the shelf
        bench.submit(2, [*text[:80], *text[400:520]], "ask")
        for _ in range(200):
            bench.engine.step()
        assert len(bench.answers[2]) == ANSWER
        assert bench.timings[2].shelf_n == 0
    finally:
        small.close()


def test_dead_cells_go_in_the_first_pause_and_nothing_that_lives_with_them(
    runner: Runner, prompts: list[list[int]], alone: list[list[int]]
) -> None:
    bench = Bench(runner)
    number = 0
    while bench.table.garbage < 300:  # somebody types: every answer but the last is thrown away
        number += 1
        bench.answer(number, prompts[1][: 10 + number % 40])
    bench.answer(0, prompts[0])
    dead = bench.table.garbage
    bench.now += 0.2
    assert bench.engine.rest() == pytest.approx(0.1)
    assert bench.table.garbage == dead
    bench.now += 0.1
    assert bench.engine.rest() is None
    assert bench.table.garbage == 0
    assert bench.answer(number + 1, prompts[0]) == alone[0]
    assert bench.timings[number + 1].prompt_n == 1
