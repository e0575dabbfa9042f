"""The engines of this machine as the settings want them: one model, or one to complete and another one to answer.

It knows which model is which, and where it is loaded; not who asks, and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.pair import Pair
from ingle_daemon.backends.residence import Residence
from ingle_daemon.backends.scripted import ScriptedBackend
from ingle_daemon.backends.survey import Survey
from ingle_daemon.config import EngineSettings
from ingle_daemon.engine import frames
from ingle_daemon.errors import IngleError, UsageError
from ingle_daemon.metrics import Metrics

__all__ = ["Engines"]

Choose = Callable[[], frames.Load]


class Engines:
    """`completing` and `answering` are backends, the same one where there is one model.

    `to_complete` and `to_answer` say what to load. INGLE_BACKEND=scripted puts a script in place of all.
    """

    def __init__(
        self, settings: EngineSettings, metrics: Metrics, outcomes: Path, *, to_complete: Choose, to_answer: Choose
    ) -> None:
        self.kind = os.environ.get("INGLE_BACKEND", "local")
        self._residences: list[Residence] = []
        self._pair: Pair | None = None
        self._beside: asyncio.Task[None] | None = None
        self._survey = Survey()
        if self.kind == "scripted":
            self.completing: Backend = ScriptedBackend.from_environment(metrics)
            self.answering: Backend = self.completing
            return
        if self.kind != "local":
            raise UsageError(f"INGLE_BACKEND is {self.kind!r}", hint="It is `local` (the default) or `scripted`.")
        chosen = [to_complete, to_answer] if settings.chat_model else [to_answer]
        self._residences = [Residence(choose, self._survey, settings, metrics, outcomes) for choose in chosen]
        if settings.chat_model:
            self._pair = Pair(*self._residences)
            self._residences[0].neighbour, self._residences[1].neighbour = self._residences[1], self._residences[0]
            self.completing, self.answering = self._pair.completing, self._pair.answering
        else:
            self.completing = self.answering = self._residences[0].backend

    @property
    def local(self) -> bool:
        """Models of this machine answer, not a script."""
        return bool(self._residences)

    def start_beside(self) -> None:
        """Load the answering model, too, as soon as the completing one is loaded, if there is room for both."""
        if self._pair and (self._beside is None or self._beside.done()):
            self._beside = asyncio.create_task(self._load_beside())

    async def stop(self) -> None:
        """End what goes on beside the two backends; whoever has those stops them."""
        if self._beside:
            self._beside.cancel()
            await asyncio.gather(self._beside, return_exceptions=True)
        for residence in self._residences:
            await residence.close()

    async def load(self) -> str:
        """Have the completing model in memory now; its name."""
        first = self._residences[0] if self._residences else None
        if first:
            await first.backend.retry()
        if first and self._pair:
            await self._pair.completing.info()
        return (await (first.load() if first else self.completing.info())).name

    def unload(self) -> bool:
        """Free the memory until the next request; False when there was nothing in it. Raises Busy when it is needed."""
        unloaded = [residence.unload() for residence in self._residences]
        return any(unloaded)

    async def reload(self) -> None:
        """Load anew what should be loaded."""
        if not self._pair:
            await self.reload_answering()
            return
        for residence in self._residences:
            await residence.backend.stop()
        await self.completing.start()
        self.start_beside()

    async def reload_answering(self) -> None:
        """Another model answers from now on. Beside a completing one it is loaded by the next question."""
        for residence in self._residences[-1:]:
            await (residence.backend.stop() if self._pair else residence.backend.reload())

    @contextlib.asynccontextmanager
    async def question(self) -> AsyncIterator[None]:
        """The answering model keeps its place in memory until the end of the block."""
        async with self._pair.question() if self._pair else contextlib.nullcontext():
            yield

    def economize(self, on: bool) -> None:
        """Compute with less, or with all again."""
        for residence in self._residences:
            residence.backend.economize(on)

    def chat_status(self) -> dict[str, object] | None:
        """Of the answering model, where it is another one."""
        return self._pair.status() if self._pair else None

    def machine_status(self) -> dict[str, object]:
        """What it all runs on."""
        yielded = [residence.status() for residence in self._residences]
        return {**self._survey.status(), "yielded": any(each["yielded"] for each in yielded)} if yielded else {}

    async def _load_beside(self) -> None:
        with contextlib.suppress(IngleError):  # the first request meets it, too
            await self.completing.info()
            if self._pair and await self._pair.has_room_to_answer():
                await self.answering.info()
