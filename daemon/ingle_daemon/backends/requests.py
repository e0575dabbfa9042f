"""What was asked of the engine worker and is not answered yet: requests with their events, calls with their answers.

It keeps what must be sent again when the worker is replaced, counts against the queue's limit, and ends what runs too
long. It knows no process: `send` takes a frame to whichever worker there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingle_daemon.engine import frames
from ingle_daemon.errors import Busy, IngleError, TimedOut, from_wire
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import Begun, Delta, Done, Failed, GenerateRequest, Priority, Started

__all__ = ["Call", "Request", "Requests"]


@dataclass(slots=True)
class Request:
    """A request on its way: what to send again if the worker dies, and where its events go."""

    submit: frames.Submit
    events: asyncio.Queue[Started | Begun | Delta | Done | IngleError] = field(default_factory=asyncio.Queue)
    started: bool = False
    streamed: bool = False
    retried: bool = False


@dataclass(slots=True)
class Call:
    """A question about the model's own matters (a count, say), the same way."""

    frame: frames.ToWorker
    answer: asyncio.Future[frames.FromWorker] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    retried: bool = False


class Requests:
    """At most `queue` requests wait or run at once, none for longer than `max_seconds` after it was sent."""

    def __init__(
        self, send: Callable[[frames.ToWorker], None], metrics: Metrics, *, queue: int, max_seconds: float
    ) -> None:
        self._send = send
        self._metrics = metrics
        self._queue = queue
        self._max_seconds = max_seconds
        self._ids = itertools.count(1)
        self._early = 0  # those that wait for the model to load
        self._requests: dict[int, Request] = {}
        self._cancelled: dict[int, Priority] = {}
        self._calls: dict[int, Call] = {}

    @property
    def open(self) -> int:
        """Requests that wait or run. One that has ended counts no more, however slowly its client reads."""
        return self._early + len(self._requests)

    @property
    def idle(self) -> bool:
        """Nobody waits for anything."""
        return not (self.open or self._calls)

    @property
    def unanswered(self) -> bool:
        """The worker owes an answer, if only to a cancellation."""
        return bool(self._requests or self._calls or self._cancelled)

    def refuse_when_full(self) -> None:
        if self.open >= self._queue:
            raise Busy(
                f"{self.open} requests wait or run already, and no more than {self._queue} may",
                hint="Try again in a moment, or raise [engine] queue.",
                running=self.open,
                limit=self._queue,
            )

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """Somebody waits for the model to load."""
        self._early += 1
        try:
            yield
        finally:
            self._early -= 1

    @contextlib.contextmanager
    def submitted(self, request: GenerateRequest) -> Iterator[Request]:
        """A request on the worker, until the end of the block or of the time it may take."""
        number = next(self._ids)
        entry = self._requests[number] = Request(frames.Submit(number, request))
        self._send(entry.submit)
        deadline = asyncio.get_running_loop().call_later(self._max_seconds, self._expire, number)
        try:
            yield entry
        finally:
            deadline.cancel()
            if self._requests.pop(number, None) is not None:
                self._cancel(number, request.priority)

    @contextlib.contextmanager
    def called(self, frame: Callable[[int], frames.ToWorker]) -> Iterator[Call]:
        """A call on the worker; `frame` is made with its number."""
        number = next(self._ids)
        call = self._calls[number] = Call(frame(number))
        self._send(call.frame)
        try:
            yield call
        finally:
            self._calls.pop(number, None)

    def on_event(self, frame: frames.Evented) -> bool:
        """Something happened to a request; True when it has ended thereby."""
        entry, event = self._requests.get(frame.id), frame.event
        if entry is None:
            self._count_unheard(frame.id, event)
            return False
        if isinstance(event, Started):
            if entry.started:
                return False  # runs again on a new worker; the client has been told that already
            entry.started = True
        entry.streamed = entry.streamed or isinstance(event, Delta)
        entry.events.put_nowait(from_wire(event.error) if isinstance(event, Failed) else event)
        if not isinstance(event, (Done, Failed)):
            return False
        del self._requests[frame.id]
        return True

    def on_answer(self, frame: frames.Counted | frames.Tokens | frames.Text | frames.Refused) -> None:
        """A call is answered, unless whoever called has just gone away."""
        call = self._calls.get(frame.id)
        if call is None or call.answer.done():
            return
        if isinstance(frame, frames.Refused):
            call.answer.set_exception(from_wire(frame.error))
        else:
            call.answer.set_result(frame)

    def send_again(self) -> None:
        """To a new worker, everything."""
        for entry in self._requests.values():
            self._send(entry.submit)
        for call in self._calls.values():
            self._send(call.frame)

    def lose(self, error: IngleError) -> None:
        """The worker died. What had streamed something, or was sent again before, ends with `error`."""
        for number, entry in list(self._requests.items()):
            if entry.streamed or entry.retried:
                entry.events.put_nowait(error)
                del self._requests[number]
            entry.retried = True
        for call in self._calls.values():
            if call.retried and not call.answer.done():
                call.answer.set_exception(error)
            call.retried = True

    def fail(self, error: IngleError) -> None:
        """Everything ends with `error`."""
        for entry in self._requests.values():
            entry.events.put_nowait(error)
        self._requests.clear()
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(error)

    def forget_cancelled(self) -> None:
        """The worker that would have told their end is gone."""
        self._cancelled.clear()

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

    def _count_unheard(self, number: int, event: Started | Begun | Delta | Done | Failed) -> None:
        """What nobody listens to was cancelled a moment ago, or is the engine's own."""
        if not isinstance(event, (Done, Failed)):
            return
        priority = "warm-up" if number == frames.OWN else self._cancelled.pop(number, None)
        if priority and isinstance(event, Done):
            self._metrics.add_cost(priority, event.timings)
