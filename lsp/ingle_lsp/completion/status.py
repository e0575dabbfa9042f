"""How completion is doing, for an editor's status line: from what happens to requests, and what the daemon says.

Nothing is told twice. This module knows no LSP type; asking the daemon is passed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ingle_daemon import client
from ingle_daemon.errors import Busy, DaemonUnreachable, EngineLost, IngleError, TimedOut

__all__ = ["State", "Status", "StatusBoard", "ask_status"]

State = Literal["idle", "thinking", "loading", "off", "offline", "error"]

_LONG = 0.15
"""Seconds after which a completion is waited for; what is quicker would only flicker."""
_LOOK_EVERY = 30.0
"""Seconds after which a model may be another one."""
_LOADING_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Status:
    """What a status line may show. `reason` is a sentence for the user, or empty."""

    state: State
    model: str = ""
    reason: str = ""


async def ask_status() -> dict[str, Any]:
    """What the daemon says of itself, if it runs."""
    status: dict[str, Any] = await client.acall("GET", "/ingle/status", autostart=False)
    return status


class StatusBoard:
    """The status of one editor's completions. `show` is told of every change."""

    def __init__(
        self,
        show: Callable[[Status], None],
        *,
        ask: Callable[[], Awaitable[dict[str, Any]]] = ask_status,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._show = show
        self._ask = ask
        self._clock = clock
        self._sleep = sleep
        self._on = True
        self._running = 0
        self._waiting: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._busy: Literal["", "thinking", "loading"] = ""
        self._trouble = Status("idle")
        self._model = ""
        self._shown: Status | None = None
        self.saving = False
        """The daemon saves: the machine is on battery."""

    @property
    def now(self) -> Status:
        """The status at present."""
        if not self._on:
            return Status("off", self._model)
        if self._busy:
            return Status(self._busy, self._model)
        return Status(self._trouble.state, self._model, self._trouble.reason)

    async def begin(self) -> None:
        """See what there is before anything is asked for, and tell it."""
        try:
            self._learn(await self._ask())
        except IngleError as error:
            self._trouble = _trouble_of(error) or self._trouble
            if type(error) is DaemonUnreachable:
                self._trouble = Status("offline", reason="ingled does not run; the first completion starts it")
        self._tell()

    def switch(self, *, on: bool) -> None:
        """Completion was turned on or off."""
        self._on = on
        self._tell()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Around a request that the user may be waiting for."""
        self._running += 1
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._wait())
        try:
            yield
        finally:
            self._running -= 1
            if not self._running and self._waiting is not None:
                self._waiting.cancel()
                self._waiting, self._busy = None, ""
            self._tell()

    def answered(self) -> None:
        """The daemon completed something."""
        after_trouble, self._trouble = self._trouble.state != "idle", Status("idle")
        if after_trouble or not self._model or self._clock() - self._looked_at > _LOOK_EVERY:
            self._look()
        self._tell()

    def failed(self, error: IngleError) -> None:
        """The daemon did not, because of `error`."""
        self._trouble = _trouble_of(error) or self._trouble
        self._tell()

    async def _wait(self) -> None:
        """A request takes long: say so, and look why for as long as that is the model's loading."""
        await self._sleep(_LONG)
        self._busy = "thinking"
        self._tell()
        with contextlib.suppress(IngleError):  # the request itself meets it, and tells
            while self._learn(await self._ask()):
                self._busy = "loading"
                self._tell()
                await self._sleep(_LOADING_POLL)
        self._busy = "thinking"
        self._tell()

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looked_at = self._clock()
            self._looking = asyncio.ensure_future(self._look_now())

    async def _look_now(self) -> None:
        with contextlib.suppress(IngleError):  # gone since: the next request tells
            self._learn(await self._ask())
        self._tell()

    def _learn(self, daemon: dict[str, Any]) -> bool:
        """Take what the daemon says of its model; whether that is being loaded."""
        model = daemon["model"]
        self._model = (model.get("info") or {}).get("name", self._model)
        self.saving = bool((daemon.get("power") or {}).get("saving"))
        return model["state"] in ("loading", "restarting")

    def _tell(self) -> None:
        if self._shown != self.now:
            self._shown = self.now
            self._show(self._shown)


def _trouble_of(error: IngleError) -> Status | None:
    """What an error says of completions to come; None where the next one may well succeed."""
    reason = f"{error.message}. {error.hint}".strip()
    if isinstance(error, DaemonUnreachable) and not isinstance(error, (Busy, EngineLost, TimedOut)):
        return Status("offline", reason=reason)
    passing = error.code in ("queue_full", "model_loading", "exceed_context_size_error", "refused_by_privacy")
    return None if passing else Status("error", reason=reason)
