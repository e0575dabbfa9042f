"""The local backend's limits, on a worker that only takes what it is sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import msgspec
import pytest

from ingle_daemon.backends import local, watchdog
from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.local import LocalBackend
from ingle_daemon.engine import frames
from ingle_daemon.errors import Busy, EngineLost, NoMemory, NoModel, TimedOut
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import Delta, Done, GenerateRequest, ModelInfo, Started, TextPrompt

LOAD = frames.Load("m", "/m.gguf", 64, 1, 0, "f16", 8, True, "auto", 0, 4.0, "", "/snapshots")
HELLO = frames.Hello((), ("cpu",), "0.3.36")
INFO = ModelInfo("m", "/m.gguf", "a model", 64, 64, 100, 1, 1)
REQUEST = GenerateRequest(TextPrompt("hello"))


class StandIn:
    """Behaves as a worker process does towards the backend, and answers when the test says so."""

    pid = 1

    def __init__(self, say: Callable[[frames.FromWorker], None], die: Callable[[int], None]) -> None:
        self.stopped = asyncio.Event()
        self.say = say
        self.die = die
        self.submitted: asyncio.Queue[int] = asyncio.Queue()
        self.called: asyncio.Queue[int] = asyncio.Queue()
        self.cancelled: list[int] = []
        self.killed = asyncio.Event()
        self.answers_pings = True
        self.loads: asyncio.Queue[frames.Load] = asyncio.Queue()

    def send(self, frame: frames.ToWorker) -> None:
        if isinstance(frame, frames.Load):
            self.loads.put_nowait(frame)
        elif isinstance(frame, frames.Submit):
            self.submitted.put_nowait(frame.id)
        elif isinstance(frame, frames.Cancel):
            self.cancelled.append(frame.id)
        elif isinstance(frame, frames.Tokenize):
            self.called.put_nowait(frame.id)
        elif isinstance(frame, frames.Ping) and self.answers_pings:
            self.say(frames.Pong())

    def kill(self) -> None:
        self.killed.set()
        self.die(-9)

    async def stop(self) -> None:
        self.stopped.set()


class SteppingDown(Loading):
    """Half the context at each step, as often as it is told to."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.context = LOAD.context
        self.settled = False

    def planned(self, wanted: frames.Load, hello: frames.Hello) -> frames.Load:
        return msgspec.structs.replace(wanted, context=self.context)

    def step_down(self) -> bool:
        self.left -= 1
        self.context //= 2
        return self.left >= 0

    def succeeded(self) -> None:
        self.settled = True

    def status(self) -> dict[str, object]:
        return {"context": self.context}


Workers = asyncio.Queue[StandIn]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    """The workers that the backend starts."""
    started: Workers = asyncio.Queue()

    class Factory:
        @staticmethod
        async def start(say: Callable[[frames.FromWorker], None], die: Callable[[int], None]) -> StandIn:
            worker = StandIn(say, die)
            started.put_nowait(worker)
            return worker

    monkeypatch.setattr(local, "WorkerProcess", Factory)
    return started


def backend_with(
    metrics: Metrics | None = None,
    *,
    queue: int = 64,
    max_seconds: float = 600,
    keep_alive: float | None = None,
    steps: int = 0,
) -> LocalBackend:
    """Its loads have `steps` steps down from a context of 64 tokens."""
    return LocalBackend(
        lambda: LOAD,
        SteppingDown(steps),
        metrics or Metrics(),
        queue=queue,
        max_seconds=max_seconds,
        keep_alive=keep_alive,
    )


async def loaded(backend: LocalBackend, workers: Workers) -> StandIn:
    await backend.start()
    worker = await workers.get()
    worker.say(frames.Loaded(INFO))
    return worker


async def accepted(events: AsyncGenerator[Started | Delta | Done, None], worker: StandIn) -> int:
    """Bring a request as far as its Started; its id."""
    step = asyncio.ensure_future(anext(events))
    number = await worker.submitted.get()
    worker.say(frames.Evented(number, Started(5, 64)))
    assert isinstance(await step, Started)
    return number


async def test_one_request_more_than_the_queue_holds_is_refused_with_the_numbers(workers: Workers) -> None:
    backend = backend_with(queue=2)
    worker = await loaded(backend, workers)
    running = [backend.generate(REQUEST) for _ in range(2)]
    for events in running:
        await accepted(events, worker)
    with pytest.raises(Busy, match="2 requests wait or run already") as refused:
        await anext(backend.generate(REQUEST))
    assert (refused.value.http_status, refused.value.exit_code) == (503, 3)
    assert refused.value.details == {"running": 2, "limit": 2}
    assert worker.submitted.empty()  # the third was never sent
    await running[0].aclose()
    await accepted(backend.generate(REQUEST), worker)  # its place is free again


async def test_requests_that_wait_for_the_model_take_places_too(workers: Workers) -> None:
    backend = backend_with(queue=1)
    waiting = asyncio.ensure_future(anext(backend.generate(REQUEST)))
    await workers.get()
    with pytest.raises(Busy):
        await anext(backend.generate(REQUEST))
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert backend.status()["running"] == 0


async def test_an_answer_that_has_ended_takes_no_place_while_its_client_dawdles(workers: Workers) -> None:
    backend = backend_with(queue=1)
    worker = await loaded(backend, workers)
    slow = backend.generate(REQUEST)
    number = await accepted(slow, worker)
    worker.say(frames.Evented(number, Done("end")))
    await accepted(backend.generate(REQUEST), worker)
    assert await anext(slow) == Done("end")


async def test_a_request_that_runs_too_long_is_cancelled_and_says_so(workers: Workers) -> None:
    metrics = Metrics()
    backend = backend_with(metrics, max_seconds=0.02)
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    number = await accepted(events, worker)
    worker.say(frames.Evented(number, Delta("a", (7,))))
    assert await anext(events) == Delta("a", (7,))
    with pytest.raises(TimedOut, match=r"ran for 0\.02 s") as ended:
        await anext(events)
    assert (ended.value.http_status, ended.value.exit_code) == (504, 3)
    assert worker.cancelled == [number]
    assert [(record.reason, record.generated) for record in metrics.last] == [("timed_out", 1)]


async def test_a_request_in_time_is_not_cancelled_later(workers: Workers) -> None:
    backend = backend_with(max_seconds=0.02)
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    number = await accepted(events, worker)
    worker.say(frames.Evented(number, Done("end")))
    assert [event async for event in events] == [Done("end")]
    later = backend.generate(REQUEST)
    late = await accepted(later, worker)
    with pytest.raises(TimedOut):
        await anext(later)  # by then the first one's time is over, too
    assert worker.cancelled == [late]


async def test_a_worker_replaced_is_counted_and_the_lost_answer_too(workers: Workers) -> None:
    metrics = Metrics()
    backend = backend_with(metrics)
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    number = await accepted(events, worker)
    worker.say(frames.Evented(number, Delta("a", (7,))))
    await anext(events)
    worker.die(-9)
    with pytest.raises(EngineLost):
        await anext(events)
    assert metrics.worker_restarts == backend.status()["restarts"] == 1
    assert metrics.tallies["ask"].outcomes == {"engine_lost": 1}
    await backend.stop()


async def test_a_request_that_waits_for_the_model_ends_when_the_engine_is_stopped(workers: Workers) -> None:
    backend = backend_with()
    waiting = asyncio.create_task(anext(backend.generate(REQUEST)))
    await workers.get()
    await backend.stop()
    with pytest.raises(EngineLost, match="was stopped"):
        await waiting


async def test_a_model_that_nobody_uses_leaves_memory_until_it_is_asked(workers: Workers) -> None:
    backend = backend_with(keep_alive=0.01)
    worker = await loaded(backend, workers)
    await asyncio.wait_for(worker.stopped.wait(), 5)
    assert backend.status()["state"] == "idle"
    events = backend.generate(REQUEST)
    step = asyncio.ensure_future(anext(events))
    following = await workers.get()
    following.say(frames.Loaded(INFO))
    number = await following.submitted.get()
    assert backend.status()["state"] == "ready"
    following.say(frames.Evented(number, Started(5, 64)))
    await step
    await events.aclose()
    await backend.stop()


async def test_a_model_that_answers_stays(workers: Workers) -> None:
    backend = backend_with(keep_alive=0.01)
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    await accepted(events, worker)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(worker.stopped.wait(), 0.1)
    await events.aclose()
    await asyncio.wait_for(worker.stopped.wait(), 5)
    await backend.stop()


# --- a worker that hangs -------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PULSE_S", 0.005)


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_hangs_is_killed_and_what_streamed_nothing_runs_again(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    broken, whole = backend.generate(REQUEST), backend.generate(REQUEST)
    number = await accepted(broken, worker)
    worker.say(frames.Evented(number, Delta("a", (7,))))
    await anext(broken)
    waiting = await accepted(whole, worker)
    worker.answers_pings = False
    with pytest.raises(EngineLost, match="did not move for"):
        await anext(broken)
    assert worker.killed.is_set()
    following = await workers.get()
    following.say(frames.Loaded(INFO))
    assert await following.submitted.get() == waiting
    following.say(frames.Evented(waiting, Done("end")))
    assert [event async for event in whole] == [Done("end")]
    await backend.stop()


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_hangs_on_what_nobody_waits_for_any_more_is_killed(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    await accepted(events, worker)
    worker.answers_pings = False
    await events.aclose()
    await asyncio.wait_for(worker.killed.wait(), 5)
    await backend.stop()


@pytest.mark.usefixtures("hasty")
async def test_a_call_to_a_worker_that_hangs_is_made_again_once(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    worker.answers_pings = False
    calling = asyncio.create_task(backend.tokenize("abc"))
    second = await workers.get()
    second.say(frames.Loaded(INFO))
    second.say(frames.Tokens(await second.called.get(), (1, 2)))
    assert await calling == [1, 2]
    second.answers_pings = False
    calling = asyncio.create_task(backend.tokenize("abc"))
    third = await workers.get()
    third.answers_pings = False
    third.say(frames.Loaded(INFO))
    await third.called.get()
    with pytest.raises((EngineLost, NoModel)):
        await calling
    await backend.stop()


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_is_slow_or_idle_is_left_alone(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    number = await accepted(events, worker)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(worker.killed.wait(), 0.1)  # it answers pings, and nothing else
    worker.say(frames.Evented(number, Done("end")))
    assert [event async for event in events] == [Done("end")]
    worker.answers_pings = False
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(worker.killed.wait(), 0.1)  # nobody asks it for anything
    await backend.stop()


async def test_a_worker_that_never_finishes_to_load_is_killed(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_LONGEST_LOAD_S", 0.01)
    backend = backend_with()
    waiting = asyncio.create_task(anext(backend.generate(REQUEST)))
    worker = await workers.get()
    with pytest.raises(NoModel, match="while it loaded the model"):
        await waiting
    assert worker.killed.is_set()


async def test_a_call_refused_when_its_caller_has_just_gone_disturbs_nobody(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    calling = asyncio.create_task(backend.tokenize("abc"))
    number = await worker.called.get()
    calling.cancel()
    worker.say(frames.Refused(number, NoModel("no").to_wire()))
    with pytest.raises(asyncio.CancelledError):
        await calling
    await backend.stop()


# --- a load that fails for memory ----------------------------------------------------------------------------------


def refuse(worker: StandIn) -> None:
    """Say that there is no memory, and end."""
    worker.say(frames.LoadFailed(NoMemory("no memory").to_wire()))
    worker.die(0)


async def test_a_load_that_fails_for_memory_is_tried_with_less_until_it_succeeds(workers: Workers) -> None:
    metrics = Metrics()
    backend = backend_with(metrics, steps=4)
    waiting = asyncio.create_task(backend.info())
    contexts = []
    for end in (refuse, lambda worker: worker.die(-9), lambda worker: worker.die(-6)):
        worker = await workers.get()
        worker.say(HELLO)
        contexts.append((await worker.loads.get()).context)
        end(worker)
        assert backend.status()["state"] == "loading"
    last = await workers.get()
    last.say(HELLO)
    contexts.append((await last.loads.get()).context)
    last.say(frames.Loaded(INFO))
    assert await waiting == INFO
    assert contexts == [64, 32, 16, 8]
    assert backend.status()["context"] == 8
    assert metrics.worker_restarts == backend.status()["restarts"] == 0
    await backend.stop()


async def test_a_load_that_fails_with_the_least_is_given_up(workers: Workers) -> None:
    backend = backend_with(steps=1)
    waiting = asyncio.create_task(backend.info())
    for _ in range(2):
        refuse(await workers.get())
    with pytest.raises(NoMemory):
        await waiting
    assert backend.status()["state"] == "failed"


async def test_a_load_that_dies_of_anything_else_is_not_tried_with_less(workers: Workers) -> None:
    backend = backend_with(steps=9)
    waiting = asyncio.create_task(backend.info())
    (await workers.get()).die(-11)
    with pytest.raises(NoModel, match="while it loaded the model"):
        await waiting
    assert workers.empty()


async def test_a_load_that_hangs_is_not_tried_with_less(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LONGEST_LOAD_S", 0.01)
    backend = backend_with(steps=9)
    with pytest.raises(NoModel, match="while it loaded the model"):
        await backend.info()
    await workers.get()
    assert workers.empty()


async def test_a_defect_of_the_planner_leaves_the_settings_as_they_are(workers: Workers) -> None:
    class Defect(SteppingDown):
        def planned(self, wanted: frames.Load, hello: frames.Hello) -> frames.Load:
            raise ZeroDivisionError

    backend = LocalBackend(lambda: LOAD, Defect(0), Metrics(), queue=1, max_seconds=1)
    await backend.start()
    worker = await workers.get()
    worker.say(HELLO)
    assert await worker.loads.get() == LOAD
    await backend.stop()


# --- a model that is asked to go -----------------------------------------------------------------------------------


async def test_a_model_that_nobody_waits_for_can_be_unloaded_and_says_why(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    await accepted(events, worker)
    assert not backend.unload("somebody wants the memory")
    await events.aclose()
    assert backend.unload("somebody wants the memory")
    assert (backend.status()["state"], backend.status()["why"]) == ("idle", "somebody wants the memory")
    await worker.stopped.wait()
    assert not backend.unload("twice")
    await backend.stop()


async def test_a_worker_that_is_replaced_runs_again_what_had_streamed_nothing(workers: Workers) -> None:
    backend = backend_with()
    worker = await loaded(backend, workers)
    events = backend.generate(REQUEST)
    number = await accepted(events, worker)
    backend.replace("lost its GPU")
    following = await workers.get()
    following.say(frames.Loaded(INFO))
    assert await following.submitted.get() == number
    following.say(frames.Evented(number, Delta("a", (7,))))
    assert await anext(events) == Delta("a", (7,))
    backend.replace("lost its GPU")
    with pytest.raises(EngineLost, match="the engine lost its GPU while it answered"):
        await anext(events)
    await backend.stop()


async def test_who_waits_for_a_model_gets_the_next_worker_where_one_dies_while_it_loads_again(workers: Workers) -> None:
    backend = backend_with()
    await backend.start()
    first = await workers.get()
    first.say(frames.Loaded(INFO))
    first.die(-9)
    second = await workers.get()
    waiting = asyncio.create_task(backend.info())
    await asyncio.sleep(0)
    second.die(-9)
    third = await workers.get()
    third.say(frames.Loaded(INFO))
    assert await asyncio.wait_for(waiting, 5) == INFO
    await backend.stop()


async def test_who_waits_for_a_model_is_told_when_it_is_given_up(workers: Workers) -> None:
    backend = backend_with()
    await backend.start()
    (await workers.get()).say(frames.Loaded(INFO))
    backend.replace("died")
    waiting = asyncio.create_task(backend.info())
    for _ in range(2):
        (await workers.get()).die(-9)
    with pytest.raises((NoModel, NoMemory)):
        await asyncio.wait_for(waiting, 5)
    await backend.stop()


async def test_what_was_given_up_is_loaded_again_when_its_user_says_so(workers: Workers) -> None:
    backend = backend_with()
    await backend.start()
    await backend.retry()  # it loads
    (await workers.get()).die(-9)
    with pytest.raises(NoMemory):
        await backend.info()
    assert workers.empty()
    await backend.retry()
    (await workers.get()).say(frames.Loaded(INFO))
    assert await backend.info() == INFO
    await backend.retry()  # it is well
    assert workers.empty()
    await backend.stop()
