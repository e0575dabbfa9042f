"""Threads spin long while nobody else computes, and briefly beside others; they are told by what evaluating costs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.spin import Company, Spent

ALONE, BESIDE_OTHERS = Spent(1, 1.95, 0), Spent(1, 1, 500)
SLEEPING_ALONE, SLEEPING_BESIDE_OTHERS = Spent(1, 1, 0), Spent(1, 1, 25_000)


class Clocked:
    """A company, and how it went. It is told of windows in which as much was spent as in a given second."""

    def __init__(self) -> None:
        self.company = Company()
        self.now = 100.0

    def spend(self, each_second: Spent, seconds: float) -> bool:
        end = self.now + seconds
        while self.now < end:
            self._spend_window(each_second)
        return self.company.crowded

    def _spend_window(self, each_second: Spent) -> None:
        wall = self.company.window
        self.now += wall
        spent = Spent(wall, wall * each_second.cpu, int(wall * each_second.switches))
        self.company.learn(spent, 2, self.now)

    def seconds_until(self, spent: Spent, *, crowded: bool) -> float:
        begin = self.now
        while self.company.crowded is not crowded and self.now < begin + 60:
            self._spend_window(spent)
        return self.now - begin


def test_who_has_the_cores_is_alone() -> None:
    assert not Clocked().spend(ALONE, 10)


def test_others_are_noticed_at_once_and_that_they_are_gone_too() -> None:
    clocked = Clocked()
    assert clocked.seconds_until(BESIDE_OTHERS, crowded=True) < 0.2
    assert clocked.spend(SLEEPING_BESIDE_OTHERS, 10)
    assert clocked.seconds_until(SLEEPING_ALONE, crowded=False) < 0.7
    assert clocked.seconds_until(BESIDE_OTHERS, crowded=True) < 0.2, "they are believed again"


def test_one_window_without_others_is_not_enough_at_first() -> None:
    clocked = Clocked()
    clocked.seconds_until(BESIDE_OTHERS, crowded=True)
    assert clocked.spend(SLEEPING_ALONE, 0.5)
    assert clocked.spend(SLEEPING_BESIDE_OTHERS, 0.4)


def test_who_waits_for_something_else_is_listened_to_less_and_less() -> None:
    clocked, crowded = Clocked(), 0.0
    waiting = Spent(1, 0.5, 0)  # as beside a GPU
    while clocked.now < 220:
        began, was_crowded = clocked.now, clocked.company.crowded
        clocked.spend(waiting, 0.01)
        crowded += (clocked.now - began) * was_crowded
    assert 1 < crowded < 12, "of two minutes"


# --- on the real model ---


@pytest.fixture
def runner(starter: Path) -> Iterator[Runner]:
    runner = Runner(RunnerOptions(str(starter), 512, 2, 0, "auto", 64, 2))
    yield runner
    runner.close()


@pytest.mark.model
def test_beside_a_busy_program_there_are_threads_that_do_nothing_until_it_ends(runner: Runner) -> None:
    """All cores are taken by another program, and then by none."""
    if runner.spin is None:
        pytest.skip("llama.cpp computes with other threads here")
    before = _others()
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(8)]
    try:
        assert _decode_until(runner, lambda: "crowd" in _others())
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert _decode_until(runner, lambda: _others() == before)


def _decode_until(runner: Runner, wanted: Callable[[], bool], patience: float = 60) -> bool:
    end = time.monotonic() + patience
    while not wanted() and time.monotonic() < end:
        runner.clear()
        runner.decode([BatchItem(0, 0, [1] * 16, 1)])
    return wanted()


def _others() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name == "crowd")
