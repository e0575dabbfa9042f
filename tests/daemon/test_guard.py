"""A model on a GPU is looked after: a worker of the test's own, a driver that says what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingle_daemon.backends.guard import Guard, slept_seconds
from ingle_daemon.backends.pressure import RESERVE
from ingle_daemon.backends.survey import Survey
from ingle_daemon.engine.frames import Hello
from ingle_daemon.models.gpu import Gpu, Problem, Process, Reading
from ingle_daemon.models.machine import Memory
from ingle_daemon.protocol import Device
from nvml import StandIn, gpu

MIB = 1 << 20
HELLO = Hello((Device("CUDA0", "RTX 3050", "gpu", "cuda", 4000 * MIB, 4096 * MIB),), ("cuda", "cpu"), "0.3.36")
LOST = Reading(problems=(Problem("lost", "GPU 0 is lost", "Reboot."),))
OURS = 2200 * MIB
WORKER = 77


def reading(others: int, ours: int = OURS) -> Reading:
    free = 4096 * MIB - others - ours
    processes = (Process(WORKER, ours),) if ours else ()
    return Reading((Gpu(0, "RTX 3050", "GPU-0", 4096 * MIB, free, processes=processes),), driver="550", cuda="12.4")


class Loaded:
    """The plan of what is loaded."""

    gpu_bytes = OURS


class Engine:
    """A backend with a model on it, that writes down what is done to it."""

    def __init__(self) -> None:
        self.pid: int | None = WORKER
        self.busy = False
        self.done: asyncio.Queue[str] = asyncio.Queue()

    def unload(self, why: str) -> bool:
        self.pid = None
        self.done.put_nowait(f"unload: {why}")
        return True

    def replace(self, why: str) -> None:
        self.done.put_nowait(f"replace: {why}")

    async def reload(self) -> None:
        self.pid = WORKER
        self.done.put_nowait("reload")

    async def generate(self, request: Any) -> Any:
        self.done.put_nowait(f"generate {request.limits.max_tokens}")
        nothing: tuple[Any, ...] = ()
        for event in nothing:
            yield event


class Time:
    """A clock that a look advances by five seconds, and a sleep of the machine by what the test says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0.0

    def monotonic(self) -> float:
        self.now += 5
        return self.now


class World:
    """A guard and everything that it sees. `says` is what the driver says from now on."""

    def __init__(self, **options: Any) -> None:
        self.time, self.engine, self.says = Time(), Engine(), reading(400 * MIB)
        self.looks: asyncio.Queue[None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.survey = Survey(self._read, lambda: Memory(1, 2))
        self.survey.look(HELLO)
        given = {"yields": True, "keep_alive": None, **options}
        clocks = {"every": 0.001, "slept": lambda: self.time.slept, "clock": self.time.monotonic}
        self.guard = Guard(self.engine, Loaded(), self.survey, **given, **clocks)  # type: ignore[arg-type]
        self.guard.model_loaded()

    def _read(self) -> Reading:
        self.loop.call_soon_threadsafe(self.looks.put_nowait, None)
        return self.says

    async def look(self, times: int = 1) -> None:
        """Wait for so many looks that begin from now on."""
        while not self.looks.empty():
            self.looks.get_nowait()
        for _ in range(times + 1):  # the first may have begun before
            await asyncio.wait_for(self.looks.get(), 5)

    async def looks_no_more(self) -> bool:
        """Whether nothing is looked at for twenty times as long as there is between two looks."""
        await asyncio.sleep(0.1)
        while not self.looks.empty():
            self.looks.get_nowait()
        await asyncio.sleep(0.02)
        return self.looks.empty()

    async def next(self) -> str:
        return await asyncio.wait_for(self.engine.done.get(), 5)


@pytest.fixture
async def world() -> Any:
    made = World()
    yield made
    await made.guard.close()


async def test_a_model_that_is_pressed_is_unloaded_and_what_is_loaded_next_leaves_room(world: World) -> None:
    await world.look(2)
    world.says = reading(1800 * MIB)
    assert await world.next() == "unload: another program needs the GPU's memory"
    assert world.guard.status() == {"yielded": True}
    world.says = reading(1800 * MIB, ours=0)
    (device,) = world.survey.look(HELLO).devices
    assert device.free_bytes == 4096 * MIB - 1800 * MIB - RESERVE


async def test_it_comes_back_when_the_memory_is_free_again(world: World) -> None:
    await world.look(2)
    world.says = reading(1800 * MIB)
    await world.next()
    world.says = reading(3000 * MIB, ours=0)
    await world.look(20)
    assert world.engine.done.empty()
    world.says = reading(400 * MIB, ours=0)
    assert await world.next() == "reload"
    assert (world.guard.status(), world.survey.reserve) == ({"yielded": False}, 0)


async def test_a_model_that_nobody_would_use_any_more_does_not_come_back() -> None:
    world = World(keep_alive=60.0)
    await world.look(2)
    world.says = reading(1800 * MIB)
    await world.next()
    world.says = reading(3000 * MIB, ours=0)
    await world.look(20)
    world.says = reading(400 * MIB, ours=0)
    while world.guard.status()["yielded"]:
        with contextlib.suppress(asyncio.TimeoutError):  # the last look is followed by none
            await asyncio.wait_for(world.looks.get(), 0.1)
    assert world.engine.done.empty()
    assert world.survey.reserve == 0
    await world.guard.close()


async def test_where_the_settings_forbid_it_nothing_is_yielded() -> None:
    world = World(yields=False)
    await world.look(2)
    world.says = reading(1800 * MIB)
    await world.look(20)
    assert world.engine.done.empty()
    await world.guard.close()


async def test_ingles_other_model_is_no_other_program() -> None:
    world = World(neighbour=lambda: 78)
    await world.look(2)
    (before,) = reading(1800 * MIB).gpus
    world.says = Reading((msgspec.structs.replace(before, processes=(*before.processes, Process(78, 1500 * MIB))),))
    await world.look(20)
    assert world.engine.done.empty()
    await world.guard.close()


async def test_a_model_that_answers_stays_until_it_has(world: World) -> None:
    world.engine.busy = True
    await world.look(2)
    world.says = reading(1800 * MIB)
    await world.look(20)
    assert world.engine.done.empty()
    world.engine.busy = False
    assert (await world.next()).startswith("unload")


async def test_a_worker_whose_gpu_is_lost_is_replaced_once(world: World) -> None:
    world.says = LOST
    assert await world.next() == "replace: has lost its GPU and was ended"
    await world.look(10)
    assert world.engine.done.empty()
    world.says = reading(400 * MIB)
    await world.look(2)
    world.says = LOST
    assert (await world.next()).startswith("replace")


async def test_after_a_sleep_of_the_machine_the_engine_is_tried_once(world: World) -> None:
    await world.look(2)
    world.time.slept += 3600
    assert await world.next() == "generate 1"
    await world.look(10)
    assert world.engine.done.empty()


@pytest.mark.parametrize("why", ["on the CPU", "not loaded"])
async def test_nothing_is_looked_at_without_a_model_on_a_gpu(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    world = World()
    world.engine.pid = WORKER if why == "on the CPU" else None
    monkeypatch.setattr(Loaded, "gpu_bytes", 0 if why == "on the CPU" else OURS)
    assert await world.looks_no_more()
    await world.guard.close()


async def test_the_looks_end_with_the_model_and_begin_again_with_the_next(world: World) -> None:
    await world.look(2)
    world.engine.pid = None
    assert await world.looks_no_more()
    world.engine.pid = WORKER
    world.guard.model_loaded()
    await world.look(2)


def test_a_machine_that_did_not_sleep_in_between_says_so() -> None:
    first = slept_seconds()
    assert abs(slept_seconds() - first) < 0.1


# A process of its own, because the driver's library is found when a process starts.
_WITH_A_DRIVER = """
import asyncio, itertools
from daemon.test_guard import HELLO, OURS, Engine, Loaded
from ingle_daemon.backends.guard import Guard
from ingle_daemon.backends.survey import Survey
from ingle_daemon.models import gpu

looks = itertools.count()

def read():
    reading = gpu.read()
    if next(looks) == 2:  # the one before has been judged
        print("watched", flush=True)
    return reading

async def main():
    engine, survey = Engine(), Survey(read)
    survey.look(HELLO)
    time = itertools.count(0, 5)
    guard = Guard(engine, Loaded(), survey, yields=True, keep_alive=None, every=0.01, clock=lambda: next(time))
    guard.model_loaded()
    while True:
        print(await engine.done.get(), flush=True)

asyncio.run(main())
"""


def test_a_drivers_numbers_send_the_model_away_and_bring_it_back(driver: StandIn) -> None:
    def says(others: int, ours: int) -> None:
        free = 4096 * MIB - others - ours
        driver.says(gpu("RTX 3050", total=4096 * MIB, free=free), *([f"process {WORKER} {ours}"] if ours else []))

    says(400 * MIB, OURS)
    env = {**os.environ, **driver.env, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _WITH_A_DRIVER]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        try:
            assert run.stdout.readline() == "watched\n"
            says(1800 * MIB, OURS)
            assert run.stdout.readline() == "unload: another program needs the GPU's memory\n"
            says(3000 * MIB, 0)
            says(400 * MIB, 0)
            assert run.stdout.readline() == "reload\n"
            driver.says(gpu("RTX 3050", error=15))
            assert run.stdout.readline() == "replace: has lost its GPU and was ended\n"
        finally:
            run.kill()
