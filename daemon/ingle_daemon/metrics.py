"""What is counted of every request: by priority since the daemon started, and the last few one by one.

Plain counting, fed by the backends. It knows no HTTP, no engine, no Prometheus (`prometheus.py` puts it into that
shape), and no text of the user.
"""

from __future__ import annotations

import contextlib
import itertools
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, get_args

import msgspec

from ingle_daemon.errors import IngleError
from ingle_daemon.protocol import Begun, Delta, Done, Priority, Started, Timings

__all__ = ["Histogram", "Metrics", "Record", "Stage", "Tally"]

_REMEMBERED = 20
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: from a keystroke's few tokens to a long document on a slow machine."""

Stage = Literal["waiting", "reading", "answering"]
"""Of a request that runs: nothing of it has been read yet, its prompt is being read, or it has said something."""


class Record(msgspec.Struct, frozen=True):
    """One request that has ended.

    `reused` tokens of its prompt needed no evaluation; of these `from_shelf` came back from host memory or disk, and
    `spliced` were lent by a sequence with another prefix. `pauses`: how often something more urgent went before it.
    `reason` is Done's own, an error's code, or "cancelled". Only the engine knows the prompt's tokens and the times:
    they are None where the request ended before it said them.
    """

    id: int
    priority: Priority
    reason: str
    generated: int
    evaluated: int | None = None
    reused: int | None = None
    from_shelf: int | None = None
    spliced: int | None = None
    pauses: int | None = None
    queue_ms: float | None = None
    prompt_ms: float | None = None
    predicted_ms: float | None = None


class Histogram:
    """How many durations there were, by length."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[float, int]]:
        """Upper bounds in seconds, and how many durations were at most as long; the last bound is infinite."""
        return list(zip((*_BOUNDS, float("inf")), itertools.accumulate(self._counts), strict=True))


@dataclass(slots=True)
class Tally:
    """The counts of one priority. Of requests that failed, only the generated tokens are known.

    `stages` are those of the requests that run; `decoded` counts what is generated while it comes.
    """

    stages: Counter[Stage] = field(default_factory=Counter)
    decoded: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    evaluated: int = 0
    reused: Counter[str] = field(default_factory=Counter)
    """By which means: "resident", "shelf" or "splice"."""
    generated: int = 0
    pauses: int = 0
    queue: Histogram = field(default_factory=Histogram)
    prefill: Histogram = field(default_factory=Histogram)
    decode: Histogram = field(default_factory=Histogram)

    @property
    def running(self) -> int:
        """Requests that have not ended."""
        return sum(self.stages.values())

    def move(self, before: Stage, now: Stage) -> Stage:
        """A running request goes on to another stage."""
        self.stages[before] -= 1
        self.stages[now] += 1
        return now

    def count(self, record: Record, stage: Stage) -> None:
        """A running request has ended."""
        self.stages[stage] -= 1
        self.outcomes[record.reason] += 1
        self.generated += record.generated
        for histogram, spent in (
            (self.queue, record.queue_ms),
            (self.prefill, record.prompt_ms),
            (self.decode, record.predicted_ms),
        ):
            if spent is not None:
                histogram.observe(spent / 1000)

    def add_cost(self, cost: Timings) -> None:
        """What a request took of the engine, however it ended."""
        self.evaluated += cost.prompt_n
        self.pauses += cost.pauses
        resident = cost.cache_n - cost.shelf_n - cost.splice_n
        self.reused.update(resident=resident, shelf=cost.shelf_n, splice=cost.splice_n)


class Metrics:
    """All counts. One for the daemon's life."""

    def __init__(self) -> None:
        self.tallies: dict[Priority, Tally] = {priority: Tally() for priority in get_args(Priority)}
        self.worker_restarts = 0
        self.last: deque[Record] = deque(maxlen=_REMEMBERED)
        """The requests that ended last, the newest at the end."""
        self._ids = itertools.count(1)

    async def watch(
        self, priority: Priority, events: AsyncGenerator[Started | Begun | Delta | Done, None]
    ) -> AsyncGenerator[Started | Delta | Done, None]:
        """Hand on the events of one request, but for Begun, and count them, however it ends."""
        number, reason, generated, done = next(self._ids), "cancelled", 0, False
        tally = self.tallies[priority]
        stage: Stage = "waiting"
        tally.stages[stage] += 1
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    if isinstance(event, Delta):
                        generated += len(event.tokens)
                        tally.decoded += len(event.tokens)
                        stage = tally.move(stage, "answering")
                    elif isinstance(event, Done):
                        done = True  # counted before the client hears of it, so that it may look at once
                        self._end(_record(number, priority, event.reason, generated, event.timings), stage)
                        self.add_cost(priority, event.timings)
                    if isinstance(event, Begun):
                        stage = tally.move(stage, "reading")
                        continue
                    yield event
        except Exception as exc:
            reason = exc.code if isinstance(exc, IngleError) else IngleError.code
            raise
        finally:
            if not done:
                self._end(Record(number, priority, reason, generated), stage)

    def add_cost(self, priority: Priority, cost: Timings) -> None:
        """What a request cost. Of a cancelled one the engine says so a moment after it has ended."""
        self.tallies[priority].add_cost(cost)

    def stages(self) -> dict[str, int]:
        """How many requests run, and how many of these are at which stage."""
        tallies = self.tallies.values()
        by_stage = {stage: sum(tally.stages[stage] for tally in tallies) for stage in get_args(Stage)}
        return {"running": sum(by_stage.values()), **by_stage}

    def _end(self, record: Record, stage: Stage) -> None:
        self.tallies[record.priority].count(record, stage)
        self.last.append(record)


def _record(number: int, priority: Priority, reason: str, generated: int, timings: Timings) -> Record:
    return Record(
        number,
        priority,
        reason,
        generated,
        evaluated=timings.prompt_n,
        reused=timings.cache_n,
        from_shelf=timings.shelf_n,
        spliced=timings.splice_n,
        pauses=timings.pauses,
        queue_ms=timings.queue_ms,
        prompt_ms=timings.prompt_ms,
        predicted_ms=timings.predicted_ms,
    )
