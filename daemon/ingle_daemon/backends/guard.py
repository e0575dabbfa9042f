"""Looks after a model on a GPU: leaves its memory to others, comes back, and replaces a worker that has lost its GPU.

It looks every few seconds, while a model is on a GPU or has yielded, and not otherwise: each look may wake a GPU. When
to yield is decided in `pressure.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import aclosing

from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.local import LocalBackend
from ingle_daemon.backends.pressure import RESERVE, Pressure, Sample
from ingle_daemon.backends.survey import Survey
from ingle_daemon.errors import IngleError
from ingle_daemon.models.gpu import Gpu, Reading
from ingle_daemon.protocol import GenerateRequest, Limits, TextPrompt

__all__ = ["Guard", "slept_seconds"]

_log = logging.getLogger(__name__)
_EVERY_S = 5.0
_SLEPT_S = 2.0
"""The clocks that tell of a sleep differ by less between two looks that had none."""
_YIELDED = "another program needs the GPU's memory"


def slept_seconds() -> float:
    """For how long the machine has slept since it was started; 0 where no clock tells."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) - time.monotonic() if clock is not None else 0.0


class Guard:
    """One for a backend. With `yields` False it leaves the memory to nobody. `neighbour` gives the process of ingle's
    other model, if one is loaded: that is no other program."""

    def __init__(
        self,
        backend: LocalBackend,
        loading: Loading,
        survey: Survey,
        *,
        yields: bool,
        keep_alive: float | None,
        neighbour: Callable[[], int | None] = lambda: None,
        every: float = _EVERY_S,
        slept: Callable[[], float] = slept_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._loading = loading
        self._survey = survey
        self._yields = yields
        self._keep_alive = keep_alive
        self._neighbour = neighbour
        self._every = every
        self._slept = slept
        self._clock = clock
        self._pressure = Pressure()
        self._went = 0.0
        self._lost = False
        self._task: asyncio.Task[None] | None = None

    def model_loaded(self) -> None:
        """A model is ready, on a GPU perhaps."""
        if self._needed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._follow())

    def at_home(self) -> None:
        """The user wants the model loaded whatever others need."""
        self._pressure.forget()
        self._survey.reserve = 0

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, object]:
        """`yielded`: the model has left the GPU's memory to another program, or makes do with little of it."""
        return {"yielded": self._pressure.away}

    @property
    def _needed(self) -> bool:
        on_gpu = self._backend.pid is not None and self._loading.gpu_bytes > 0
        return on_gpu or self._pressure.away

    async def _follow(self) -> None:
        slept = self._slept()
        while self._needed:
            await asyncio.sleep(self._every)
            before, slept = slept, self._slept()
            reading, gpus = await asyncio.to_thread(self._survey.watch)
            if self._is_lost(reading):
                self._backend.replace("has lost its GPU and was ended")
            elif slept - before > _SLEPT_S:
                _log.info("the machine slept: the engine is tried")
                await self._try_engine()
            elif gpus and self._yields:
                await self._weigh(gpus)

    def _is_lost(self, reading: Reading) -> bool:
        """A GPU has gone since the last look. One that stays away has been dealt with."""
        before, self._lost = self._lost, reading.lost
        return self._lost and not before and self._backend.pid is not None

    async def _try_engine(self) -> None:
        """Generate one token. A worker that cannot dies of it, or hangs, and is replaced as always."""
        request = GenerateRequest(TextPrompt("."), "warm-up", limits=Limits(max_tokens=1))
        with contextlib.suppress(IngleError):  # which the next request meets, too
            async with aclosing(self._backend.generate(request)) as events:
                async for _ in events:
                    pass

    async def _weigh(self, gpus: tuple[Gpu, ...]) -> None:
        """Go, come back, or stay."""
        now = self._clock()
        verdict = self._pressure.judge(self._sample(gpus, now))
        if verdict == "yield":
            self._survey.reserve = RESERVE
            self._went = now
            self._backend.unload(_YIELDED)
        elif verdict == "return":
            self._survey.reserve = 0
            if self._backend.pid is not None or self._wanted(now):
                _log.info("the model comes back to the GPU")
                await self._backend.reload()

    def _wanted(self, now: float) -> bool:
        """Had it not yielded, it would still be loaded. Beside a neighbour it is loaded when it is asked."""
        in_time = self._keep_alive is None or now - self._went < self._keep_alive
        return in_time and self._neighbour() is None

    def _sample(self, gpus: tuple[Gpu, ...], now: float) -> Sample:
        fullest = min(gpus, key=lambda gpu: gpu.free_bytes or 0)
        free, total = fullest.free_bytes or 0, fullest.total_bytes or 0
        pid = self._backend.pid
        ours = _held(fullest, pid) or (self._loading.gpu_bytes if pid is not None else 0)
        others = total - free - ours - _held(fullest, self._neighbour())
        return Sample(now, free, ours, max(others, 0), self._backend.busy)


def _held(gpu: Gpu, pid: int | None) -> int:
    """Bytes of `gpu` that the process `pid` is known to hold."""
    return sum(process.used_bytes or 0 for process in gpu.processes if process.pid == pid)
