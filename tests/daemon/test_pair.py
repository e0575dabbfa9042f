"""Two models and the memory of one machine: homes and time of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.pair import Home, Pair
from ingle_daemon.errors import ModelLoading
from ingle_daemon.protocol import Delta, Done, Fit, GenerateRequest, ModelInfo, Prompt, Started, TextPrompt

REQUEST = GenerateRequest(TextPrompt("hello"))


class Model(Backend, Home):
    """A model that loads when it is asked, and writes down when it comes and goes."""

    held_ram = 0

    def __init__(self, name: str, diary: list[str], *, room: bool) -> None:
        self.name = name
        self.diary = diary
        self.room = room
        self.here = False
        self.came = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    @property
    def backend(self) -> Backend:
        return self

    @property
    def loaded(self) -> bool:
        return self.here

    async def leave(self, why: str) -> None:
        self._note("leaves")
        self.here = False

    async def fits_beside(self, neighbour: Home) -> bool:
        return self.room

    async def start(self) -> None:
        await self.info()

    async def stop(self) -> None:
        self.here = False

    async def info(self) -> ModelInfo:
        if not self.here:
            self._note("loads")
            self.here = True
            self.came.set()
        return ModelInfo(self.name, "", "", 1, 1, 1, 1, 1)

    def status(self) -> dict[str, object]:
        return {"state": "ready" if self.here else "idle"}

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        await self.info()
        yield Started(1, 1)
        await self.goes_on.wait()
        yield Done("end")

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        return Fit(1, reserved, 1)

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return []

    async def render(self, prompt: Prompt) -> str:
        return ""

    async def detokenize(self, tokens: list[int]) -> str:
        return ""

    def _note(self, what: str) -> None:
        self.diary.append(f"{self.name} {what}")


class World:
    """A pair, and a clock that moves when somebody sleeps."""

    def __init__(self, *, room: bool) -> None:
        self.diary: list[str] = []
        self.now = 1000.0
        self.slept: list[float] = []
        self.code = Model("code", self.diary, room=room)
        self.chat = Model("chat", self.diary, room=room)
        self.pair = Pair(self.code, self.chat, quiet=10.0, clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def complete(self) -> list[Any]:
        return [event async for event in self.pair.completing.generate(REQUEST)]

    async def ask(self) -> list[Any]:
        async with self.pair.question():
            await self.pair.answering.info()
            await self.pair.answering.fit(REQUEST.prompt, 1)
            return [event async for event in self.pair.answering.generate(REQUEST)]


@pytest.fixture
def narrow() -> World:
    return World(room=False)


async def test_where_both_fit_both_are_loaded_and_nobody_waits() -> None:
    wide = World(room=True)
    for _ in range(3):
        await wide.complete()
        await wide.ask()
    assert wide.diary == ["code loads", "chat loads"]
    assert wide.slept == []
    assert wide.pair.status() == {"together": True, "state": "ready"}


async def test_a_question_takes_the_memory_once_typing_has_paused(narrow: World) -> None:
    await narrow.complete()
    narrow.now += 4
    await narrow.ask()
    assert narrow.slept == [6.0]
    assert narrow.diary == ["code loads", "code leaves", "chat loads"]
    assert narrow.pair.status() == {"together": False, "state": "ready"}


async def test_a_completion_has_its_model_back_at_once_when_no_question_runs(narrow: World) -> None:
    await narrow.ask()
    await narrow.complete()
    assert narrow.slept == []
    assert narrow.diary == ["chat loads", "chat leaves", "code loads"]


async def test_a_completion_is_refused_while_a_question_runs(narrow: World) -> None:
    narrow.chat.goes_on.clear()
    asking = asyncio.create_task(narrow.ask())
    await narrow.chat.came.wait()
    with pytest.raises(ModelLoading, match="answers a question"):
        await narrow.complete()
    narrow.chat.goes_on.set()
    await asking
    await narrow.complete()
    assert narrow.diary == ["chat loads", "chat leaves", "code loads"]


async def test_a_question_waits_for_the_completions_that_run(narrow: World) -> None:
    narrow.code.goes_on.clear()
    completing = asyncio.create_task(narrow.complete())
    await narrow.code.came.wait()
    narrow.now += 60  # the completion takes long
    asking = asyncio.create_task(narrow.ask())
    for _ in range(20):
        await asyncio.sleep(0)
    assert narrow.diary == ["code loads"]
    narrow.code.goes_on.set()
    await completing
    await asking
    assert narrow.diary == ["code loads", "code leaves", "chat loads"]
    assert narrow.slept == [10.0]


async def test_completions_go_on_while_a_question_waits_for_a_pause(narrow: World) -> None:
    await narrow.complete()
    typed = 0

    async def sleep(seconds: float) -> None:
        nonlocal typed
        narrow.now += min(seconds, 3)
        if typed < 5:
            typed += 1
            await narrow.complete()

    narrow.pair._sleep = sleep
    await narrow.ask()
    assert typed == 5
    assert narrow.diary == ["code loads", "code leaves", "chat loads"]


async def test_two_questions_at_once_share_the_place(narrow: World) -> None:
    await narrow.complete()
    await asyncio.gather(narrow.ask(), narrow.ask())
    assert narrow.diary == ["code loads", "code leaves", "chat loads"]


async def test_questions_and_completions_by_turns_load_each_model_once_a_turn(narrow: World) -> None:
    for _ in range(3):
        for _ in range(5):
            await narrow.complete()
        for _ in range(2):
            await narrow.ask()
    turn = ["code loads", "code leaves", "chat loads", "chat leaves"]
    assert narrow.diary == (turn * 3)[:-1]


async def test_who_stops_waiting_for_a_question_leaves_nothing_taken(narrow: World) -> None:
    await narrow.complete()
    asking = asyncio.create_task(narrow.ask())
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await narrow.complete()
    narrow.now += 20
    await narrow.ask()
    assert narrow.diary[-1] == "chat loads"
