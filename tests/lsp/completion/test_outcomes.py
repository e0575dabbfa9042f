"""Outcomes go out together, and a daemon that is away is no trouble."""

from __future__ import annotations

import asyncio

from ingle_daemon.errors import DaemonUnreachable
from ingle_daemon.protocol import Outcome
from ingle_lsp.completion.outcomes import Outcomes


class Daemon:
    def __init__(self) -> None:
        self.sent: list[list[str]] = []
        self.away = False
        self.asked = asyncio.Event()

    async def take(self, outcomes: list[Outcome]) -> None:
        self.asked.set()
        if self.away:
            raise DaemonUnreachable("ingled is not running")
        self.sent.append([outcome.id for outcome in outcomes])


async def test_they_are_gathered() -> None:
    daemon, pause = Daemon(), asyncio.Event()
    outcomes = Outcomes(daemon.take, sleep=lambda _: pause.wait())
    for number in range(3):
        outcomes.add(Outcome(str(number), "shown"))
    pause.set()
    await daemon.asked.wait()
    assert daemon.sent == [["0", "1", "2"]]


async def test_a_daemon_that_is_away_loses_them_and_nothing_else() -> None:
    daemon = Daemon()
    outcomes = Outcomes(daemon.take, sleep=lambda _: asyncio.sleep(0))
    for daemon.away in (True, False):
        daemon.asked.clear()
        outcomes.add(Outcome(str(daemon.away), "shown"))
        await daemon.asked.wait()
        await asyncio.sleep(0)
    assert daemon.sent == [["False"]]
