"""An engine in the test's own process, on a real model, without a worker around it."""

from __future__ import annotations

from collections.abc import Callable

from ingle_daemon.engine.cache import Cache
from ingle_daemon.engine.draft import StepTimes
from ingle_daemon.engine.engine import Engine
from ingle_daemon.engine.kv import KvTable
from ingle_daemon.engine.prepare import Prepared
from ingle_daemon.engine.runner import Runner
from ingle_daemon.engine.scheduler import Capacity
from ingle_daemon.engine.shelf import Shelf
from ingle_daemon.protocol import Delta, Done, GenerateRequest, Limits, Priority, Sampling, TextPrompt, Timings

SLOTS = 8
ANSWER = 8


class Bench:
    """An engine on a fresh cache, planned by `table`; `answers` and `timings` by request. `now` is its clock."""

    def __init__(
        self,
        runner: Runner,
        shelf_bytes: int = 1 << 28,
        *,
        splice: bool = True,
        wide_is_cheap: bool = False,
        undisturbed: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.runner = runner
        self.answers: dict[int, list[int]] = {}
        self.timings: dict[int, Timings] = {}
        self.now = 0.0
        runner.clear()
        self.table = KvTable(SLOTS, runner.n_ctx, append_only=runner.exact, rewinds=runner.rewinds)
        cache = Cache(runner, self.table, Shelf(shelf_bytes))
        capacity = Capacity(runner.batch, prefill=runner.batch, wide_is_cheap=wide_is_cheap)
        times = StepTimes(single=0.01, shared=0.01 if wide_is_cheap else 0.0)
        self.engine = Engine(
            runner,
            cache,
            capacity,
            times,
            self._on_event,
            splice=splice,
            undisturbed=undisturbed,
            clock=clock or (lambda: self.now),
        )

    def submit(self, number: int, prompt: list[int], priority: Priority, joint: int = 0, answer: int = ANSWER) -> None:
        self.answers[number] = []
        request = GenerateRequest(
            TextPrompt(""), priority, sampling=Sampling(temperature=0), limits=Limits(max_tokens=answer)
        )
        self.engine.submit(number, request, Prepared(prompt, (), answer, joint), float(number))

    def finish(self) -> None:
        while self.engine.busy:
            self.engine.step()

    def answer(self, number: int, prompt: list[int], joint: int = 0, answer: int = ANSWER) -> list[int]:
        """A completion from its beginning to its end."""
        self.submit(number, prompt, "completion", joint, answer)
        self.finish()
        return self.answers[number]

    def _on_event(self, number: int, event: object) -> None:
        if isinstance(event, Delta):
            self.answers[number] += event.tokens
        elif isinstance(event, Done):
            self.timings[number] = event.timings
