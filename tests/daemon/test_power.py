"""Who saves on battery is told when that begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ingle_daemon.power import Power, on_battery


def readings(*values: bool) -> Iterator[bool]:
    """These, and then the last one for ever."""
    yield from values
    while True:
        yield values[-1]


async def follow(*values: bool, heeded: bool = True) -> tuple[Power, list[bool]]:
    """A watch that has seen all of `values`, and what it told."""
    told: list[bool] = []
    left, seen = readings(*values), 0
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> bool:
        nonlocal seen
        seen += 1
        if seen > len(values):
            loop.call_soon_threadsafe(done.set)
        return next(left)

    power = Power(told.append, heeded=heeded, read=read, every=0.001)
    power.start()
    await asyncio.wait_for(done.wait(), 5)
    return power, told


async def test_unplugging_and_plugging_in_are_told_once_each() -> None:
    power, told = await follow(False, True, True, False, True)
    assert told == [True, False, True]
    assert power.status() == {"on_battery": True, "saving": True}
    await power.close()


async def test_a_machine_that_is_plugged_in_tells_nothing() -> None:
    power, told = await follow(False, False)
    assert told == []
    assert power.status() == {"on_battery": False, "saving": False}
    await power.close()


async def test_where_the_settings_say_so_a_battery_changes_nothing_but_the_status() -> None:
    power, told = await follow(True, heeded=False)
    assert told == []
    assert power.status() == {"on_battery": True, "saving": False}
    await power.close()


async def test_a_machine_without_a_battery_is_asked_once() -> None:
    asked = 0

    def read() -> None:
        nonlocal asked
        asked += 1

    power = Power(lambda _: pytest.fail("there is nothing to tell"), heeded=True, read=read, every=0.001)
    power.start()
    await asyncio.sleep(0.05)
    assert asked == 1
    assert power.status() == {"on_battery": None, "saving": False}
    await power.close()


def test_this_machine_can_be_asked() -> None:
    assert on_battery() in (None, True, False)
