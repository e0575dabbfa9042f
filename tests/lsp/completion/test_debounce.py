"""Waiting, superseding and cancelling, on a clock that the test holds."""

from __future__ import annotations

import asyncio

import pytest

from ingle_lsp.completion.debounce import Debouncer, Rhythm


class Work:
    """Says when it begins and when it is cancelled, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.cancelled, self.end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"


class Clock:
    """Sleeps until the test says that the time has passed."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.passed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.passed.wait()


async def test_work_waits_for_its_delay() -> None:
    clock, work = Clock(), Work()
    running = asyncio.create_task(Debouncer(clock.sleep).run("a", 0.05, work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert clock.asked == [0.05]
    assert not work.begun.is_set()
    clock.passed.set()
    work.end.set()
    assert await running == "done"


async def test_without_a_delay_nothing_waits() -> None:
    clock, work = Clock(), Work()
    work.end.set()
    assert await Debouncer(clock.sleep).run("a", 0, work) == "done"
    assert clock.asked == []


async def test_newer_work_takes_the_place_of_older() -> None:
    debouncer, old, new = Debouncer(), Work(), Work()
    older = asyncio.create_task(debouncer.run("a", 0, old))
    await old.begun.wait()
    newer = asyncio.create_task(debouncer.run("a", 0, new))
    assert await older is None
    await old.cancelled.wait()
    new.end.set()
    assert await newer == "done"


async def test_work_of_another_key_goes_on() -> None:
    debouncer, one, other = Debouncer(), Work(), Work()
    first = asyncio.create_task(debouncer.run("a", 0, one))
    second = asyncio.create_task(debouncer.run("b", 0, other))
    one.end.set()
    other.end.set()
    assert (await first, await second) == ("done", "done")


async def test_cancelling_the_call_cancels_the_work() -> None:
    work = Work()
    running = asyncio.create_task(Debouncer().run("a", 0, work))
    await work.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await work.cancelled.wait()


async def test_the_works_error_is_the_calls_error() -> None:
    async def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Debouncer().run("a", 0, fail)


def test_who_types_fast_is_asked_about_sooner() -> None:
    slow, fast = Rhythm(), Rhythm()
    for key in range(20):
        slow.key(key * 0.4)
        fast.key(key * 0.08)
    assert 0.02 <= fast.delay < slow.delay <= 0.15


def test_a_pause_is_no_typing() -> None:
    rhythm = Rhythm()
    before = rhythm.delay
    for key in range(5):
        rhythm.key(key * 60.0)
    assert rhythm.delay == before
