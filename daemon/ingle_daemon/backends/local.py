"""The local engine: requests to one worker process, which is started, watched, and replaced when it dies.

The daemon outlives its worker. What had streamed nothing when the worker died runs again on the next one, once; the
rest ends with EngineLost, because an answer cannot be unsaid. A worker that dies while it loads, or again and again, is
not started any more until somebody asks for a model anew. One that hangs is killed, and has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.watchdog import PATIENCE, PULSE_S, Watchdog
from ingle_daemon.backends.worker_process import WorkerProcess
from ingle_daemon.engine import frames
from ingle_daemon.errors import Busy, EngineLost, IngleError, NoModel, TimedOut, from_wire
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import Delta, Done, Failed, Fit, GenerateRequest, ModelInfo, Priority, Prompt, Started

__all__ = ["LocalBackend"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_DEATHS_IN_A_ROW = 3
"""A worker that dies this often without finishing a request in between stays down."""
_LONGEST_LOAD_S = 900.0
"""A large model from a slow disk takes minutes; what takes longer hangs."""


@dataclass(slots=True)
class _Request:
    """A request on its way: what to send again if the worker dies, and where its events go."""

    submit: frames.Submit
    events: asyncio.Queue[Started | Delta | Done | IngleError] = field(default_factory=asyncio.Queue)
    started: bool = False
    streamed: bool = False
    retried: bool = False


@dataclass(slots=True)
class _Call:
    """A question about the model's own matters (a count, say), the same way."""

    frame: frames.ToWorker
    answer: asyncio.Future[frames.FromWorker] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    retried: bool = False


class LocalBackend(Backend):
    """One model in one worker process.

    `choose` says what to load, each time a worker is about to start; it raises NoModel when nothing is installed.
    At most `queue` requests wait or run at once, none for longer than `max_seconds` after it was sent to the worker.
    After `unload_after` seconds without one the worker is ended, its KV cache saved; the next request starts another.
    """

    def __init__(
        self,
        choose: Callable[[], frames.Load],
        metrics: Metrics,
        *,
        queue: int,
        max_seconds: float,
        unload_after: float | None = None,
    ) -> None:
        self._choose = choose
        self._metrics = metrics
        self._queue = queue
        self._max_seconds = max_seconds
        self._unload_after = unload_after
        self._unload_timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._early = 0  # requests that wait for the model to load
        self._ids = itertools.count(1)
        self._worker: WorkerProcess | None = None
        self._watchdog = Watchdog(lambda: self._send(frames.Ping()), self._has_work, self._on_hang)
        self._load_timer: asyncio.TimerHandle | None = None
        self._hung = False
        self._ready: asyncio.Future[ModelInfo] | None = None
        self._requests: dict[int, _Request] = {}
        self._cancelled: dict[int, Priority] = {}
        self._calls: dict[int, _Call] = {}
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
        self._fail_all(stopped)
        self._cancelled.clear()
        if worker is not None:
            await worker.stop()

    async def reload(self) -> None:
        """Load anew, another model perhaps. Running requests end with EngineLost."""
        await self.stop()
        self._deaths = 0
        await self.start()

    async def info(self) -> ModelInfo:
        await self._ensure_worker()
        assert self._ready is not None
        return await asyncio.shield(self._ready)

    def status(self) -> dict[str, object]:
        state: dict[str, object] = {"running": self._open, "restarts": self._restarts}
        if self._ready is None:
            return {"state": "idle" if self._unloading else "none", **state}
        if not self._ready.done():
            return {"state": "restarting" if self._deaths else "loading", **state}
        if error := self._ready.exception():
            return {"state": "failed", "error": str(error), **state}
        assert self._worker is not None
        return {"state": "ready", "info": self._ready.result(), "worker_pid": self._worker.pid, **state}

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        return self._metrics.watch(request.priority, self._answer(request))

    async def _answer(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        self._refuse_when_full()
        with self._awaited():
            await self.info()
        with self._submitted(request) as entry:
            while True:
                event = await entry.events.get()
                if isinstance(event, IngleError):
                    raise event
                yield event
                if isinstance(event, Done):
                    return

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

    # --- limits ---

    @property
    def _open(self) -> int:
        """Requests that wait or run. One that has ended counts no more, however slowly its client reads."""
        return self._early + len(self._requests)

    def _refuse_when_full(self) -> None:
        if self._open >= self._queue:
            raise Busy(
                f"{self._open} requests wait or run already, and no more than {self._queue} may",
                hint="Try again in a moment, or raise [engine] queue.",
                running=self._open,
                limit=self._queue,
            )

    @contextlib.contextmanager
    def _awaited(self) -> Iterator[None]:
        """Somebody waits for the model to load."""
        self._early += 1
        try:
            yield
        finally:
            self._early -= 1

    @contextlib.contextmanager
    def _submitted(self, request: GenerateRequest) -> Iterator[_Request]:
        """A request on the worker, until the end of the block or of the time it may take."""
        number = next(self._ids)
        entry = self._requests[number] = _Request(frames.Submit(number, request))
        self._send(entry.submit)
        self._watchdog.watch()
        deadline = asyncio.get_running_loop().call_later(self._max_seconds, self._expire, number)
        try:
            yield entry
        finally:
            deadline.cancel()
            if self._requests.pop(number, None) is not None:
                self._cancel(number, request.priority)
            self._count_down()

    def _cancel(self, number: int, priority: Priority) -> None:
        self._cancelled[number] = priority
        self._send(frames.Cancel(number))

    def _expire(self, number: int) -> None:
        entry = self._requests.pop(number, None)
        if entry is None:
            return  # it has ended, and only its client is slow to read
        self._cancel(number, entry.submit.request.priority)
        entry.events.put_nowait(
            TimedOut(
                f"the request ran for {self._max_seconds:g} s, as long as one may, and was ended",
                hint="Ask for a shorter answer, or raise [engine] max_seconds.",
                limit_seconds=self._max_seconds,
            )
        )

    # --- talking to the worker ---

    async def _call(self, frame: Callable[[int], frames.ToWorker], kind: type[_T]) -> _T:
        with self._awaited():
            await self.info()
        number = next(self._ids)
        call = self._calls[number] = _Call(frame(number))
        self._send(call.frame)
        self._watchdog.watch()
        try:
            answer = await call.answer
        finally:
            self._calls.pop(number, None)
        assert isinstance(answer, kind)
        return answer

    def _send(self, frame: frames.ToWorker) -> None:
        if self._worker is not None:
            self._worker.send(frame)

    def _on_frame(self, frame: frames.FromWorker) -> None:
        if isinstance(frame, frames.Loaded):
            self._on_loaded(frame.info)
        elif isinstance(frame, frames.LoadFailed):
            self._on_load_failed(from_wire(frame.error))
        elif isinstance(frame, frames.Evented):
            self._on_event(frame)
        elif isinstance(frame, frames.Pong):
            self._watchdog.answered()
        elif (call := self._calls.get(frame.id)) and not call.answer.done():  # done: whoever called has just gone away
            if isinstance(frame, frames.Refused):
                call.answer.set_exception(from_wire(frame.error))
            else:
                call.answer.set_result(frame)

    def _on_event(self, frame: frames.Evented) -> None:
        entry, event = self._requests.get(frame.id), frame.event
        if entry is None:
            self._count_unheard(frame.id, event)
            return
        if isinstance(event, Started):
            if entry.started:
                return  # runs again on a new worker; the client has been told that already
            entry.started = True
        entry.streamed = entry.streamed or isinstance(event, Delta)
        entry.events.put_nowait(from_wire(event.error) if isinstance(event, Failed) else event)
        if isinstance(event, (Done, Failed)):
            self._deaths = 0
            del self._requests[frame.id]

    def _count_unheard(self, number: int, event: Started | Delta | Done | Failed) -> None:
        """What nobody listens to was cancelled a moment ago, or is the engine's own."""
        if not isinstance(event, (Done, Failed)):
            return
        priority = "warm-up" if number == frames.OWN else self._cancelled.pop(number, None)
        if priority and isinstance(event, Done):
            self._metrics.add_cost(priority, event.timings)

    # --- the worker's life ---

    async def _ensure_worker(self) -> None:
        """Start a worker unless there is one, or there was and it failed for good."""
        if self._unloading is not None:
            await asyncio.shield(self._unloading)  # the next worker reads what this one saves
        if self._ready is not None:
            return
        self._unloading = None
        load = self._choose()
        self._ready = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_retrieve)
        _log.info("loading a model", extra={"model": load.name})
        self._load_timer = asyncio.get_running_loop().call_later(_LONGEST_LOAD_S, self._on_hang)
        self._worker = await WorkerProcess.start(load, self._on_frame, self._on_exit)

    def _on_loaded(self, info: ModelInfo) -> None:
        assert self._ready is not None
        _log.info("model ready", extra={"model": info.name, "load_ms": round(info.load_ms)})
        self._ready.set_result(info)
        self._end_watch()
        self._count_down()
        for entry in self._requests.values():
            self._send(entry.submit)
        for call in self._calls.values():
            self._send(call.frame)
        self._watchdog.watch()

    def _count_down(self) -> None:
        """Somebody used the model just now: it stays for `unload_after` seconds more."""
        if self._unload_timer is not None:
            self._unload_timer.cancel()
        if self._unload_after is not None:
            self._unload_timer = asyncio.get_running_loop().call_later(self._unload_after, self._unload)

    def _unload(self) -> None:
        if self._open or self._calls or self._worker is None:
            self._count_down()
            return
        _log.info("the model is unloaded: nobody used it", extra={"seconds": self._unload_after})
        self._end_watch()
        worker, self._worker, self._ready = self._worker, None, None
        self._unloading = asyncio.create_task(worker.stop())

    def _has_work(self) -> bool:
        loaded = self._ready is not None and self._ready.done()
        return loaded and bool(self._requests or self._calls or self._cancelled)

    def _on_hang(self) -> None:
        """The worker lives and does nothing. What it ran is dealt with when it is gone."""
        if self._worker is not None:
            _log.error("the engine worker hangs and is killed", extra={"pid": self._worker.pid})
            self._hung = True
            self._worker.kill()

    def _end_watch(self) -> None:
        self._watchdog.stop()
        if self._load_timer is not None:
            self._load_timer.cancel()

    def _on_load_failed(self, error: IngleError) -> None:
        assert self._ready is not None
        _log.error("the model does not load", extra={"code": error.code})
        self._ready.set_exception(error)
        self._fail_all(error)

    def _on_exit(self, status: int) -> None:
        """The worker ended by itself: not because it was told to."""
        assert self._ready is not None
        self._worker = None
        self._cancelled.clear()
        self._end_watch()
        self._deaths += 1
        if self._ready.done() and self._ready.exception() is not None:
            return  # it could not load and has said so
        loading = not self._ready.done()
        _log.error("the engine worker died", extra={"status": status, "loading": loading, "deaths": self._deaths})
        if (loading and not self._restarts) or self._deaths >= _DEATHS_IN_A_ROW:
            self._give_up(status, loading=loading)
            return
        self._restarts += 1
        self._metrics.worker_restarts += 1
        self._end_what_cannot_run_again()
        self._ready = None
        task = asyncio.create_task(self._restart())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _restart(self) -> None:
        try:
            await self._ensure_worker()
        except IngleError as exc:
            self._fail_all(exc)

    def _give_up(self, status: int, *, loading: bool) -> None:
        what = "while it loaded the model" if loading else f"{self._deaths} times in a row"
        error: IngleError = NoModel(
            f"the engine worker died {what} (exit status {status})",
            hint="The model may be damaged or too large for the memory. Choose another: `ingle model list`.",
        )
        assert self._ready is not None
        if self._ready.done():
            self._ready = asyncio.get_running_loop().create_future()
            self._ready.add_done_callback(_retrieve)
        self._ready.set_exception(error)
        self._fail_all(error)

    def _end_what_cannot_run_again(self) -> None:
        what = f"did not move for {PATIENCE * PULSE_S:g} s and was ended" if self._hung else "died"
        self._hung = False
        lost = EngineLost(f"the engine {what} while it answered", hint="It has been started again: ask once more.")
        for number, entry in list(self._requests.items()):
            if entry.streamed or entry.retried:
                entry.events.put_nowait(lost)
                del self._requests[number]
            entry.retried = True
        for call in self._calls.values():
            if call.retried and not call.answer.done():
                call.answer.set_exception(lost)
            call.retried = True

    def _fail_all(self, error: IngleError) -> None:
        for entry in self._requests.values():
            entry.events.put_nowait(error)
        self._requests.clear()
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(error)


def _retrieve(future: asyncio.Future[ModelInfo]) -> None:
    """An error that nobody happened to wait for is in `status()`; asyncio need not warn of it."""
    if not future.cancelled():
        future.exception()
