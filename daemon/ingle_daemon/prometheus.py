"""The counts of `metrics.py` in Prometheus's text format. Knows the format, not who asks for it.

Import it when somebody scrapes: prometheus_client would lengthen every daemon's start by a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ingle_daemon.metrics import Histogram, Metrics, Tally

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""What this format is called."""

_COUNTS: tuple[tuple[str, str, Callable[[Tally], int]], ...] = (
    ("ingle_prompt_tokens_evaluated", "Prompt tokens that the model evaluated.", lambda tally: tally.evaluated),
    ("ingle_tokens_generated", "Tokens generated.", lambda tally: tally.generated),
    ("ingle_pauses", "Times that a request was passed over for a more urgent one.", lambda tally: tally.pauses),
)
_TIMES: tuple[tuple[str, str, Callable[[Tally], Histogram]], ...] = (
    ("ingle_queue_seconds", "From a request's arrival to its admission.", lambda tally: tally.queue),
    ("ingle_prefill_seconds", "From admission to the first token.", lambda tally: tally.prefill),
    ("ingle_decode_seconds", "From the first token to the end.", lambda tally: tally.decode),
)
_BY_PRIORITY = ("priority",)


def exposition(metrics: Metrics) -> bytes:
    """Everything counted, and nothing else: the registry is our own, without the client's process collectors."""
    registry = CollectorRegistry()
    registry.register(_Counts(metrics))
    return generate_latest(registry)


class _Counts(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield self._outcomes()
        yield from self._counts()
        yield self._reused()
        yield from self._times()
        running = GaugeMetricFamily("ingle_requests_running", "Requests waiting or running.", labels=_BY_PRIORITY)
        for priority, tally in self._metrics.tallies.items():
            running.add_metric((priority,), tally.running)
        yield running
        restarts = self._metrics.worker_restarts
        yield CounterMetricFamily("ingle_worker_restarts", "Engine workers started in place of a dead one.", restarts)

    def _outcomes(self) -> Metric:
        family = CounterMetricFamily("ingle_requests", "Requests that ended.", labels=(*_BY_PRIORITY, "outcome"))
        for priority, tally in self._metrics.tallies.items():
            for outcome, count in tally.outcomes.items():
                family.add_metric((priority, outcome), count)
        return family

    def _counts(self) -> Iterator[Metric]:
        for name, documentation, of in _COUNTS:
            family = CounterMetricFamily(name, documentation, labels=_BY_PRIORITY)
            for priority, tally in self._metrics.tallies.items():
                family.add_metric((priority,), of(tally))
            yield family

    def _reused(self) -> Metric:
        documentation = "Prompt tokens that needed no evaluation, by where they came from."
        family = CounterMetricFamily("ingle_prompt_tokens_reused", documentation, labels=(*_BY_PRIORITY, "means"))
        for priority, tally in self._metrics.tallies.items():
            for means, count in tally.reused.items():
                family.add_metric((priority, means), count)
        return family

    def _times(self) -> Iterator[Metric]:
        for name, documentation, of in _TIMES:
            family = HistogramMetricFamily(name, documentation, labels=_BY_PRIORITY)
            for priority, tally in self._metrics.tallies.items():
                times = of(tally)
                buckets = [(_spelled(bound), count) for bound, count in times.cumulative()]
                family.add_metric((priority,), buckets, times.sum)
            yield family


def _spelled(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else f"{bound:g}"
