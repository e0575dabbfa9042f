"""The status line, with the daemon's word and the time in the test's hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ingle_daemon.errors import Busy, DaemonUnreachable, EngineLost, IngleError, NoModel
from ingle_lsp.completion.status import Status, StatusBoard


class Watched:
    """A board, what it told, and what the daemon answers."""

    def __init__(self) -> None:
        self.told: list[Status] = []
        self.daemon: dict[str, Any] | IngleError = {"model": {"state": "ready", "info": {"name": "fir"}}}
        self.asked = 0
        self.now = 0.0
        self.wake = asyncio.Event()
        self.board = StatusBoard(self.told.append, ask=self._ask, clock=lambda: self.now, sleep=self._sleep)

    async def _ask(self) -> dict[str, Any]:
        self.asked += 1
        if isinstance(self.daemon, IngleError):
            raise self.daemon
        return self.daemon

    async def _sleep(self, _: float) -> None:
        await self.wake.wait()
        self.wake.clear()

    async def time_passes(self) -> None:
        self.wake.set()
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.told]


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_quick_answer_does_not_flicker(watched: Watched) -> None:
    await watched.board.begin()
    with watched.board.asking():
        await asyncio.sleep(0)
    assert watched.told == [Status("idle", "fir")]


async def test_a_model_that_is_loaded_meanwhile_is_told_of(watched: Watched) -> None:
    watched.daemon = {"model": {"state": "loading"}}
    with watched.board.asking():
        await asyncio.sleep(0)
        await watched.time_passes()
        watched.daemon = {"model": {"state": "ready", "info": {"name": "fir"}}}
        await watched.time_passes()
    assert watched.told == [Status("thinking"), Status("loading"), Status("thinking", "fir"), Status("idle", "fir")]


async def test_of_two_requests_the_last_one_ends_the_thinking(watched: Watched) -> None:
    with watched.board.asking():
        with watched.board.asking():
            await asyncio.sleep(0)
            await watched.time_passes()
        assert watched.states[-1] == "thinking"
    assert watched.states[-1] == "idle"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DaemonUnreachable("it is away"), "offline"),
        (EngineLost("the engine died"), "error"),
        (NoModel("no model is installed"), "error"),
        (Busy("64 requests wait"), "idle"),
    ],
)
async def test_an_error_is_trouble_until_the_next_answer(watched: Watched, error: IngleError, state: str) -> None:
    watched.board.failed(error)
    assert watched.states == [state]
    watched.board.answered()
    assert watched.states[-1] == "idle"


async def test_the_model_is_looked_up_again_now_and_then(watched: Watched) -> None:
    for watched.now in (0.0, 1.0, 29.0, 31.0, 32.0):
        watched.board.answered()
        await watched.time_passes()
    assert watched.asked == 2


async def test_off_hides_everything_else(watched: Watched) -> None:
    watched.board.switch(on=False)
    watched.board.failed(NoModel("no model is installed"))
    assert watched.states == ["off"]
    watched.board.switch(on=True)
    assert watched.states == ["off", "error"]
