"""A local engine with all that loads it, keeps it in memory, and takes it out again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from ingle_daemon.backends.guard import Guard
from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.local import LocalBackend
from ingle_daemon.backends.pair import Home
from ingle_daemon.backends.settled import Settled
from ingle_daemon.backends.survey import Survey
from ingle_daemon.config import EngineSettings
from ingle_daemon.engine import frames
from ingle_daemon.errors import Busy, IngleError
from ingle_daemon.metrics import Metrics
from ingle_daemon.models import gguf
from ingle_daemon.protocol import ModelInfo

__all__ = ["Residence"]


class Residence:
    """`backend` answers; the rest is about its model's place. `outcomes` is the file of what had not fitted."""

    def __init__(
        self,
        choose: Callable[[], frames.Load],
        survey: Survey,
        engine: EngineSettings,
        metrics: Metrics,
        outcomes: Path,
    ) -> None:
        keep_alive = None if engine.keep_alive < 0 else engine.keep_alive * 60
        self._choose = choose
        self._survey = survey
        self._loading = Loading(Settled(outcomes), survey.look, lambda path: gguf.check(path).shape)
        self.backend = LocalBackend(
            choose,
            self._loading,
            metrics,
            queue=engine.queue,
            max_seconds=engine.max_seconds,
            keep_alive=keep_alive,
            on_loaded=self._model_loaded,
        )
        self.neighbour: Residence | None = None
        self._guard = Guard(
            self.backend,
            self._loading,
            survey,
            yields=engine.yield_gpu,
            keep_alive=keep_alive,
            neighbour=self._neighbours_pid,
        )

    async def load(self) -> ModelInfo:
        """Have the model loaded, whoever else needs the memory."""
        self._guard.at_home()
        return await self.backend.info()

    def unload(self) -> bool:
        """Free its memory until the next request; False when it was not loaded. Raises Busy when it is needed."""
        if self.backend.busy:
            raise Busy("the model answers, or is being loaded", hint="Try again when it is done.")
        return self.backend.unload("as its user asked")

    # --- beside another ---

    @property
    def loaded(self) -> bool:
        """It takes memory, or is about to."""
        return self.backend.resident

    @property
    def held_ram(self) -> int:
        """Bytes of memory that it takes and that the system counts as free."""
        return self._loading.ram_bytes

    async def leave(self, why: str) -> None:
        """Out of memory; returns when it is free. A load that goes on is let come to its end first."""
        if self.loaded:
            with contextlib.suppress(IngleError):  # then there is nothing to unload
                await self.backend.info()
            self.backend.unload(why)
        await self.backend.gone()

    async def fits_beside(self, neighbour: Home) -> bool:
        """Whether it can be loaded as well as if the neighbour were not there."""
        hello = self._survey.hello
        if hello is None:
            return True  # nothing was ever loaded
        return await asyncio.to_thread(self._loading.has_room, self._choose(), hello, neighbour.held_ram)

    def _neighbours_pid(self) -> int | None:
        return self.neighbour.backend.pid if self.neighbour else None

    def _model_loaded(self) -> None:
        self._guard.model_loaded()

    async def close(self) -> None:
        await self._guard.close()

    def status(self) -> dict[str, object]:
        """Whether it has left a GPU to others."""
        return self._guard.status()
