"""A local engine with all that loads it, keeps it in memory, and takes it out again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ingle_daemon.backends.guard import Guard
from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.local import LocalBackend
from ingle_daemon.backends.settled import Settled
from ingle_daemon.backends.survey import Survey
from ingle_daemon.config import EngineSettings
from ingle_daemon.engine import frames
from ingle_daemon.errors import Busy
from ingle_daemon.metrics import Metrics
from ingle_daemon.models import gguf
from ingle_daemon.protocol import ModelInfo

__all__ = ["Residence"]


class Residence:
    """`backend` answers; the rest is about its model's place. `outcomes` is the file of what had not fitted."""

    def __init__(
        self, choose: Callable[[], frames.Load], engine: EngineSettings, metrics: Metrics, outcomes: Path
    ) -> None:
        keep_alive = None if engine.keep_alive < 0 else engine.keep_alive * 60
        self._survey = Survey()
        loading = Loading(Settled(outcomes), self._survey.look, lambda path: gguf.check(path).shape)
        self.backend = LocalBackend(
            choose,
            loading,
            metrics,
            queue=engine.queue,
            max_seconds=engine.max_seconds,
            keep_alive=keep_alive,
            on_loaded=self._model_loaded,
        )
        self._guard = Guard(self.backend, loading, self._survey, yields=engine.yield_gpu, keep_alive=keep_alive)

    async def load(self) -> ModelInfo:
        """Have the model loaded, whoever else needs the memory."""
        self._guard.at_home()
        return await self.backend.info()

    def unload(self) -> bool:
        """Free its memory until the next request; False when it was not loaded. Raises Busy when it is needed."""
        if self.backend.busy:
            raise Busy("the model answers, or is being loaded", hint="Try again when it is done.")
        return self.backend.unload("as its user asked")

    def _model_loaded(self) -> None:
        self._guard.model_loaded()

    async def close(self) -> None:
        await self._guard.close()

    def status(self) -> dict[str, object]:
        """What it runs on."""
        return {**self._survey.status(), **self._guard.status()}
