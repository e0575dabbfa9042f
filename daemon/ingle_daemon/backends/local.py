"""The local engine: requests to one worker process, which is started, watched, and replaced when it dies.

The daemon outlives its worker. What had streamed nothing when the worker died runs again on the next one, once; the
rest ends with EngineLost, because an answer cannot be unsaid. A worker that dies while it loads, or again and again, is
not started any more until somebody asks for a model anew, unless it was for want of memory: then `loading.py` finds
something less to load. One that hangs is killed, and has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.requests import Requests
from ingle_daemon.backends.watchdog import PATIENCE, PULSE_S, Watchdog
from ingle_daemon.backends.worker_process import WorkerProcess
from ingle_daemon.engine import frames
from ingle_daemon.errors import EngineLost, IngleError, NoMemory, NoModel, from_wire
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import Begun, Delta, Done, Fit, GenerateRequest, ModelInfo, Prompt, Started

__all__ = ["LocalBackend"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_DEATHS_IN_A_ROW = 3
"""A worker that dies this often without finishing a request in between stays down."""
_LONGEST_LOAD_S = 900.0
"""A large model from a slow disk takes minutes; what takes longer hangs."""
_OF_MEMORY = (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGBUS, 1)
"""How a worker ends that gets no memory: by the kernel, C++, ggml, or OpenMP. What Python meets is told before."""


class LocalBackend(Backend):
    """One model in one worker process.

    `choose` says what to load, each time a worker is about to start; it raises NoModel when nothing is installed.
    `loading` says how. At most `queue` requests wait or run at once, none for longer than `max_seconds` after it was
    sent to the worker. After `keep_alive` seconds without one the worker is ended, its KV cache saved; the next request
    starts another. None is for ever. `on_loaded` is called each time a model is ready.
    """

    def __init__(
        self,
        choose: Callable[[], frames.Load],
        loading: Loading,
        metrics: Metrics,
        *,
        queue: int,
        max_seconds: float,
        keep_alive: float | None = None,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._choose = choose
        self._on_loaded_model = on_loaded
        self._loading = loading
        self._metrics = metrics
        self._keep_alive = keep_alive
        self._requests = Requests(self._send, metrics, queue=queue, max_seconds=max_seconds)
        self._unload_timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._unloaded = ""
        self._worker: WorkerProcess | None = None
        self._watchdog = Watchdog(lambda: self._send(frames.Ping()), self._has_work, self._on_hang)
        self._load_timer: asyncio.TimerHandle | None = None
        self._killed_for = ""
        self._again = False
        self._load: frames.Load | None = None
        self._ready: asyncio.Future[ModelInfo] | None = None
        self._economy = False
        self._deaths = 0
        self._restarts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to load what `choose` names; without a model there is nothing to do yet."""
        with contextlib.suppress(NoModel):
            await self._ensure_worker()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._unload_timer is not None:
            self._unload_timer.cancel()
        self._end_watch()
        if self._unloading is not None:
            await self._unloading
            self._unloading = None
        worker, self._worker = self._worker, None
        ready, self._ready = self._ready, None
        stopped = EngineLost("the engine was stopped", hint="Ask again: it is started anew.")
        if ready is not None and not ready.done():
            ready.set_exception(stopped)
        self._requests.fail(stopped)
        self._requests.forget_cancelled()
        if worker is not None:
            await worker.stop()

    async def reload(self) -> None:
        """Load anew, another model perhaps. Running requests end with EngineLost."""
        await self.stop()
        self._deaths = 0
        await self.start()

    async def retry(self) -> None:
        """Load what could not be loaded once more; nothing is to be done where it was not tried, or is well."""
        if self._ready is not None and self._ready.done() and self._ready.exception() is not None:
            await self.reload()

    def unload(self, why: str) -> bool:
        """End the worker, what it read saved; the next request starts another. False when somebody waits for it.

        `why` is a sentence for the status.
        """
        if self._worker is None or self.pid is None or self.busy:
            return False
        _log.info("the model is unloaded", extra={"reason": why})
        self._end_watch()
        worker, self._worker, self._ready, self._unloaded = self._worker, None, None, why
        self._unloading = asyncio.create_task(worker.stop())
        return True

    def economize(self, on: bool) -> None:
        """Compute with less, or with all again."""
        self._economy = on
        if self.pid is not None:
            self._send(frames.Economy(on))

    def replace(self, why: str) -> None:
        """End the worker at once and start another: it can be of no use any more. `why` as in "the engine …"."""
        if self._worker is not None:
            _log.error("the engine worker is killed", extra={"pid": self._worker.pid, "reason": why})
            self._killed_for = why
            self._worker.kill()

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer, or for the model."""
        return not self._requests.idle

    @property
    def pid(self) -> int | None:
        """The worker's, while a model is loaded."""
        loaded = self._worker is not None and self._ready is not None and self._ready.done()
        return self._worker.pid if loaded and self._worker else None

    @property
    def resident(self) -> bool:
        """A model takes memory, or is about to."""
        return self._ready is not None and not (self._ready.done() and self._ready.exception())

    async def gone(self) -> None:
        """Wait until a model that was unloaded holds nothing any more."""
        if self._unloading is not None:
            await asyncio.shield(self._unloading)

    async def info(self) -> ModelInfo:
        await self._ensure_worker()
        assert self._ready is not None
        return await asyncio.shield(self._ready)

    def status(self) -> dict[str, object]:
        state: dict[str, object] = {"running": self._requests.open, "restarts": self._restarts}
        if self._ready is None:
            idle = {"state": "idle", "why": self._unloaded} if self._unloading else {"state": "none"}
            return {**idle, **state}
        state |= self._loading.status()
        if not self._ready.done():
            return {"state": "restarting" if self._deaths else "loading", **state}
        if error := self._ready.exception():
            return {"state": "failed", "error": str(error), **state}
        assert self._worker is not None
        return {"state": "ready", "info": self._ready.result(), "worker_pid": self._worker.pid, **state}

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        return self._metrics.watch(request.priority, self._answer(request))

    async def _answer(self, request: GenerateRequest) -> AsyncGenerator[Started | Begun | Delta | Done, None]:
        self._requests.refuse_when_full()
        with self._requests.awaited():
            await self.info()
        try:
            with self._requests.submitted(request) as entry:
                self._watchdog.watch()
                while True:
                    event = await entry.events.get()
                    if isinstance(event, IngleError):
                        raise event
                    yield event
                    if isinstance(event, Done):
                        return
        finally:
            self._count_down()

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        answer = await self._call(lambda number: frames.Count(number, prompt, reserved), frames.Counted)
        return answer.fit

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        answer = await self._call(lambda number: frames.Tokenize(number, text, special), frames.Tokens)
        return list(answer.tokens)

    async def render(self, prompt: Prompt) -> str:
        answer = await self._call(lambda number: frames.Render(number, prompt), frames.Text)
        return answer.text

    async def detokenize(self, tokens: list[int]) -> str:
        answer = await self._call(lambda number: frames.Detokenize(number, tuple(tokens)), frames.Text)
        return answer.text

    # --- talking to the worker ---

    async def _call(self, frame: Callable[[int], frames.ToWorker], kind: type[_T]) -> _T:
        with self._requests.awaited():
            await self.info()
        with self._requests.called(frame) as call:
            self._watchdog.watch()
            answer = await call.answer
        assert isinstance(answer, kind)
        return answer

    def _send(self, frame: frames.ToWorker) -> None:
        if self._worker is not None:
            self._worker.send(frame)

    def _on_frame(self, frame: frames.FromWorker) -> None:
        if isinstance(frame, frames.Hello):
            self._spawn(self._give_load(frame))
        elif isinstance(frame, frames.Loaded):
            self._on_loaded(frame.info)
        elif isinstance(frame, frames.LoadFailed):
            self._on_load_failed(from_wire(frame.error))
        elif isinstance(frame, frames.Pong):
            self._watchdog.answered()
        elif isinstance(frame, frames.Evented):
            if self._requests.on_event(frame):
                self._deaths = 0
        else:
            self._requests.on_answer(frame)

    # --- the worker's life ---

    async def _ensure_worker(self) -> None:
        """Start a worker unless there is one, or there was and it failed for good."""
        if self._unloading is not None:
            await asyncio.shield(self._unloading)  # the next worker reads what this one saves
        if self._ready is not None:
            return
        self._unloading = None
        self._load = self._choose()
        self._loading.begin()
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_retrieve)
        await self._start_worker()

    async def _start_worker(self) -> None:
        assert self._load is not None
        _log.info("loading a model", extra={"model": self._load.name})
        self._killed_for = ""
        self._load_timer = asyncio.get_running_loop().call_later(_LONGEST_LOAD_S, self._on_hang)
        self._worker = await WorkerProcess.start(self._on_frame, self._on_exit)

    async def _give_load(self, hello: frames.Hello) -> None:
        """Tell the worker what to load: as planned, or as the settings say where planning meets a defect of ours."""
        worker, load = self._worker, self._load
        assert worker is not None
        assert load is not None
        try:
            load = await asyncio.to_thread(self._loading.planned, load, hello)
        except Exception as exc:  # noqa: BLE001 - in a task it would vanish, and the worker wait for ever
            _log.error("planning met a defect", extra={"error": type(exc).__name__})
        worker.send(load)

    def _on_loaded(self, info: ModelInfo) -> None:
        assert self._ready is not None
        _log.info("model ready", extra={"model": info.name, "load_ms": round(info.load_ms)})
        self._loading.succeeded()
        self._ready.set_result(info)
        if self._economy:
            self._send(frames.Economy(on=True))
        self._end_watch()
        self._count_down()
        self._requests.send_again()
        self._watchdog.watch()
        self._on_loaded_model()

    def _count_down(self) -> None:
        """Somebody used the model just now: it stays for `keep_alive` seconds more."""
        if self._unload_timer is not None:
            self._unload_timer.cancel()
        if self._keep_alive is not None:
            self._unload_timer = asyncio.get_running_loop().call_later(self._keep_alive, self._unload_unused)

    def _unload_unused(self) -> None:
        assert self._keep_alive is not None
        if self._worker is not None and not self.unload(f"nobody used it for {self._keep_alive / 60:g} minutes"):
            self._count_down()

    def _has_work(self) -> bool:
        return self._ready is not None and self._ready.done() and self._requests.unanswered

    def _on_hang(self) -> None:
        """The worker lives and does nothing. What it ran is dealt with when it is gone."""
        self.replace(f"did not move for {PATIENCE * PULSE_S:g} s and was ended")

    def _end_watch(self) -> None:
        self._watchdog.stop()
        if self._load_timer is not None:
            self._load_timer.cancel()

    def _on_load_failed(self, error: IngleError) -> None:
        assert self._ready is not None
        if isinstance(error, NoMemory) and self._loading.step_down():
            self._again = True  # as soon as this worker, and with it what it holds, is gone
            return
        _log.error("the model does not load", extra={"code": error.code})
        self._ready.set_exception(error)
        self._requests.fail(error)

    def _on_exit(self, status: int) -> None:
        """The worker ended by itself: not because it was told to."""
        assert self._ready is not None
        self._worker = None
        self._requests.forget_cancelled()
        self._end_watch()
        loading = not self._ready.done()
        if loading and self._goes_on(status):
            self._again = False
            self._spawn(self._start_worker())
            return
        self._deaths += 1
        if self._ready.done() and self._ready.exception() is not None:
            return  # it could not load and has said so
        _log.error("the engine worker died", extra={"status": status, "loading": loading, "deaths": self._deaths})
        if (loading and not self._restarts) or self._deaths >= _DEATHS_IN_A_ROW:
            self._give_up(status, loading=loading)
            return
        self._restarts += 1
        self._metrics.worker_restarts += 1
        self._end_what_cannot_run_again()
        if loading:
            self._spawn(self._start_worker())  # those who wait for the model wait for this one
            return
        self._ready = None
        self._spawn(self._restart())

    def _goes_on(self, status: int) -> bool:
        """A load that failed for memory, as it said itself or as its end shows, goes on with something less."""
        return self._again or (not self._killed_for and status in _OF_MEMORY and self._loading.step_down())

    async def _restart(self) -> None:
        try:
            await self._ensure_worker()
        except IngleError as exc:
            self._requests.fail(exc)

    def _give_up(self, status: int, *, loading: bool) -> None:
        what = "while it loaded the model" if loading else f"{self._deaths} times in a row"
        died = f"the engine worker died {what} (exit status {status})"
        hint = "The model may be damaged or too large for the memory. Choose another (`ingle model list`)"
        error: IngleError = NoModel(died, hint=f"{hint}, or try it once more: `ingle load`.")
        if loading and not self._killed_for and status in _OF_MEMORY:
            hint = "Choose a smaller model (`ingle model list`), or end other programs and try once more: `ingle load`."
            error = NoMemory(f"there seems to be no memory for the model: {died}", hint=hint)
        assert self._ready is not None
        if self._ready.done():
            self._ready = asyncio.get_running_loop().create_future()
            self._ready.add_done_callback(_retrieve)
        self._ready.set_exception(error)
        self._requests.fail(error)

    def _end_what_cannot_run_again(self) -> None:
        what, self._killed_for = self._killed_for or "died", ""
        self._requests.lose(
            EngineLost(f"the engine {what} while it answered", hint="It has been started again: ask once more.")
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _retrieve(future: asyncio.Future[ModelInfo]) -> None:
    """An error that nobody happened to wait for is in `status()`; asyncio need not warn of it."""
    if not future.cancelled():
        future.exception()
