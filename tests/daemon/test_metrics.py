"""What is counted of a request, and how Prometheus reads it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

import support
from ingle_daemon.errors import DoesNotFit, IngleError
from ingle_daemon.metrics import Histogram, Metrics, Record
from ingle_daemon.prometheus import exposition
from ingle_daemon.protocol import Begun, Delta, Done, Started, Timings

STARTED = Started(10, 64)
COST = Timings(
    cache_n=8,
    shelf_n=1,
    splice_n=5,
    prompt_n=2,
    prompt_ms=20,
    predicted_n=2,
    predicted_ms=300,
    queue_ms=1.5,
    pauses=3,
)
DONE = Done("stop", "\n", COST)


async def events_of(
    *events: Started | Delta | Done, error: Exception | None = None
) -> AsyncGenerator[Started | Delta | Done, None]:
    for event in events:
        yield event
    if error:
        raise error


async def collect(events: AsyncGenerator[Started | Delta | Done, None]) -> list[Started | Delta | Done]:
    return [event async for event in events]


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Every sample under its name and the values of its labels; buckets' bounds are the first of those."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return samples(exposition(metrics).decode())


async def test_events_pass_unchanged_and_are_counted() -> None:
    metrics = Metrics()
    events = (STARTED, Delta("a", (1,)), Delta("b", (2,)), Delta("rest"), DONE)
    assert await collect(metrics.watch("completion", events_of(*events))) == list(events)
    assert list(metrics.last) == [Record(1, "completion", "stop", 2, 2, 8, 1, 5, 3, 1.5, 20.0, 300.0)]
    found = scraped(metrics)
    assert found["ingle_requests_total", "stop", "completion"] == 1
    assert found["ingle_prompt_tokens_evaluated_total", "completion"] == 2
    assert found["ingle_prompt_tokens_reused_total", "resident", "completion"] == 2
    assert found["ingle_prompt_tokens_reused_total", "shelf", "completion"] == 1
    assert found["ingle_prompt_tokens_reused_total", "splice", "completion"] == 5
    assert found["ingle_pauses_total", "completion"] == 3
    assert found["ingle_tokens_generated_total", "completion"] == 2
    assert found["ingle_queue_seconds_sum", "completion"] == pytest.approx(0.0015)
    assert found["ingle_prefill_seconds_sum", "completion"] == pytest.approx(0.020)
    assert found["ingle_decode_seconds_sum", "completion"] == pytest.approx(0.300)
    assert found["ingle_decode_seconds_count", "completion"] == 1
    assert found["ingle_decode_seconds_count", "ask"] == 0


async def test_a_request_waits_is_read_and_answers_and_only_then_has_ended() -> None:
    metrics = Metrics()
    turn, admitted = asyncio.Event(), asyncio.Event()

    async def one() -> AsyncGenerator[Started | Begun | Delta | Done, None]:
        yield STARTED
        await admitted.wait()
        yield Begun()
        await turn.wait()
        yield Delta("a", (1,))
        yield DONE

    events = metrics.watch("ask", one())
    assert await anext(events) == STARTED
    assert metrics.stages() == {"running": 1, "waiting": 1, "reading": 0, "answering": 0}
    said = asyncio.ensure_future(anext(events))
    admitted.set()
    await asyncio.sleep(0.01)
    assert metrics.stages() == {"running": 1, "waiting": 0, "reading": 1, "answering": 0}
    turn.set()
    assert await said == Delta("a", (1,)), "no client hears of the beginning"
    assert metrics.stages() == {"running": 1, "waiting": 0, "reading": 0, "answering": 1}
    assert await anext(events) == DONE
    assert not any(metrics.stages().values()), "however slowly its client reads the end"
    await events.aclose()
    assert not any(metrics.stages().values())


async def test_a_request_whose_client_stops_listening_is_cancelled() -> None:
    metrics = Metrics()
    events = metrics.watch("ask", events_of(STARTED, Delta("a", (1,)), DONE))
    await anext(events)
    await anext(events)
    assert scraped(metrics)["ingle_requests_running", "ask"] == 1
    await events.aclose()
    assert scraped(metrics)["ingle_requests_running", "ask"] == 0
    assert list(metrics.last) == [Record(1, "ask", "cancelled", 1)]
    assert scraped(metrics)["ingle_prefill_seconds_count", "ask"] == 0  # unknown is not zero seconds


async def test_a_request_whose_task_is_cancelled_is_cancelled() -> None:
    metrics = Metrics()
    entered = asyncio.Event()

    async def endless() -> AsyncGenerator[Started | Delta | Done, None]:
        entered.set()
        await asyncio.Event().wait()
        yield STARTED

    task = asyncio.ensure_future(collect(metrics.watch("warm-up", endless())))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [record.reason for record in metrics.last] == ["cancelled"]


async def test_a_client_that_leaves_right_after_the_end_has_its_answer() -> None:
    metrics = Metrics()
    events = metrics.watch("ask", events_of(DONE))
    await anext(events)
    await events.aclose()
    assert [record.reason for record in metrics.last] == ["stop"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(DoesNotFit("too long"), "exceed_context_size_error"), (ZeroDivisionError(), IngleError.code)],
)
async def test_a_failure_is_counted_under_its_code_and_passed_on(error: Exception, outcome: str) -> None:
    metrics = Metrics()
    with pytest.raises(type(error)):
        await collect(metrics.watch("ask", events_of(STARTED, error=error)))
    assert scraped(metrics)["ingle_requests_total", outcome, "ask"] == 1
    assert [record.reason for record in metrics.last] == [outcome]


async def test_the_last_twenty_requests_are_remembered() -> None:
    metrics = Metrics()
    for _ in range(25):
        await collect(metrics.watch("ask", events_of(DONE)))
    assert [record.id for record in metrics.last] == list(range(6, 26))


@pytest.mark.parametrize(("seconds", "bounds"), [(0.001, 0.001), (0.0011, 0.0025), (300, 300), (301, float("inf"))])
def test_a_duration_counts_in_every_bucket_from_its_own_up(seconds: float, bounds: float) -> None:
    histogram = Histogram()
    histogram.observe(seconds)
    assert all(count == (bound >= bounds) for bound, count in histogram.cumulative())


def test_only_our_own_counts_are_exposed() -> None:
    metrics = Metrics()
    metrics.worker_restarts = 3
    found = scraped(metrics)
    assert found["ingle_worker_restarts_total",] == 3
    assert {name.split("_")[0] for name, *_ in found} == {"ingle"}


def test_the_daemon_does_not_import_prometheus_client_before_it_is_scraped() -> None:
    check = "import ingle_daemon.server, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


# --- on the socket -------------------------------------------------------------------------------------------------


def last_of(instance: support.Instance) -> Iterable[Record]:
    return msgspec.convert(instance.call("GET", "/ingle/status")["last"], list[Record])


@pytest.mark.model
def test_the_real_engine_says_what_it_evaluated_and_what_it_reused(real: support.Instance) -> None:
    body = {"input_prefix": "def add(a, b):\n    return ", "n_predict": 3, "temperature": 0}
    real.call("POST", "/infill", body)
    real.call("POST", "/infill", body)
    cold, warm = last_of(real)
    assert (cold.priority, cold.reused, warm.reused) == ("completion", 0, cold.evaluated and cold.evaluated - 1)
    assert warm.evaluated == 1
    assert all(spent is not None and spent >= 0 for spent in (cold.queue_ms, cold.prompt_ms, cold.predicted_ms))
