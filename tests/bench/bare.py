"""The engine driven directly in the benchmark's own process: the product's loop without socket, worker or route."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import support
from ingle_daemon.backends.worker_process import worker_environment
from ingle_daemon.engine import worker
from ingle_daemon.engine.cache import Cache
from ingle_daemon.engine.calibrate import step_times
from ingle_daemon.engine.chat import ChatTemplate
from ingle_daemon.engine.draft import StepTimes
from ingle_daemon.engine.engine import Engine
from ingle_daemon.engine.frames import KvType
from ingle_daemon.engine.kv import KvTable
from ingle_daemon.engine.prepare import Preparer
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.sandbox import Sandbox
from ingle_daemon.engine.scheduler import Capacity
from ingle_daemon.engine.shelf import Shelf
from ingle_daemon.fim.templates import CONTINUATION
from ingle_daemon.protocol import (
    Begun,
    Delta,
    Done,
    Failed,
    GenerateRequest,
    Limits,
    Prompt,
    Sampling,
    Started,
    TokenPrompt,
)

__all__ = ["BareEngine", "Event", "as_worker", "peer_environment", "source_text"]

Event = Started | Begun | Delta | Done | Failed
_FOR_EVER = float("inf")
_SHELF_BYTES = 1 << 30


def as_worker() -> None:
    """Start this program again in the environment that the daemon gives its workers: OpenMP reads it only once."""
    if os.environ != worker_environment():
        os.execve(sys.executable, [sys.executable, *sys.argv], worker_environment())


def peer_environment() -> dict[str, str]:
    """The user's environment without what `as_worker` put into it: peers run as they come."""
    return {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}


def source_text() -> str:
    """Real code, the same on every machine with this Python: a large file of the standard library."""
    return Path(argparse.__file__).read_text(encoding="utf-8")


class BareEngine:
    """One model, the starter by default, and one request at a time; it keeps the last one's tokens, and the shelf.

    It guesses at what follows only with `guesses`: what is measured otherwise is the model. Threads spin as others
    allow, or with `adapts` off as the environment says. With more `slots` it keeps the tokens of more requests, and
    puts idle ones on the shelf unless `tidies` is off.
    """

    def __init__(
        self,
        *,
        kv_type: KvType = "auto",
        threads: int = 0,
        model: Path | None = None,
        guesses: bool = False,
        adapts: bool = True,
        slots: int = 1,
        tidies: bool = True,
    ) -> None:
        options = RunnerOptions(
            path=str(model or support.starter_model()),
            context=8192,
            threads=threads or worker.default_threads(),
            gpu_layers=-1,
            kv_type=kv_type,
            batch=256,
            slots=16,
        )
        self._runner = Runner(options)
        if not adapts:
            self._runner.spin = None
        self._runner.passes_over &= tidies
        self._slots = slots
        vocab = self._runner.vocab
        bos, eos = vocab.spelling(vocab.bos), vocab.spelling(vocab.eos)
        sandbox = Sandbox(self._runner.chat_template, bos=bos, eos=eos)
        template = ChatTemplate(sandbox, special=vocab.special_spellings())
        self._preparer = Preparer(vocab, template, CONTINUATION, self._runner.n_ctx, infill_budget=2048)
        self._batch = options.batch
        self.times = step_times(self._runner) if guesses else StepTimes(1.0, shared=0.0)
        self._events: list[tuple[float, Event]] = []
        self._skipped = self._until = 0.0
        self._heads: dict[tuple[int, ...], bytes] = {}
        self.forget()

    def forget(self) -> None:
        """Begin with an empty cache."""
        self._runner.clear()
        self._shelf = Shelf(_SHELF_BYTES)
        capacity = Capacity(batch=self._batch, prefill=self._batch)
        table = KvTable(self._slots, self._runner.n_ctx, append_only=self._runner.exact)
        times = replace(self.times)  # it learns
        cache = Cache(self._runner, table, self._shelf)
        self._engine = Engine(self._runner, cache, capacity, times, self._on_event, undisturbed=self._has_time)

    def _has_time(self) -> bool:
        return time.perf_counter() < self._until

    def _clock(self) -> float:
        return time.monotonic() + self._skipped

    def tokenize(self, text: str) -> list[int]:
        return self._runner.vocab.tokenize(text, special=False)

    def run(
        self, prompt: Prompt, max_tokens: int, seconds: float = _FOR_EVER, *, logprobs: bool = False
    ) -> tuple[float, list[tuple[float, Event]]]:
        """When it began and what happened when, on the clock of `time.perf_counter`; cut off after `seconds`.

        Before that the engine does what it does while nobody asks, without the time in which nobody does.
        """
        request = GenerateRequest(
            prompt, sampling=Sampling(temperature=0), limits=Limits(max_tokens=max_tokens), logprobs=logprobs
        )
        while (wait := self._engine.rest()) is not None:
            self._skipped += wait
        self._events = []
        begin = time.perf_counter()
        self._until = begin + seconds
        self._engine.submit(1, request, self._preparer.prepare(request), self._clock())
        while self._engine.busy and self._has_time():
            self._engine.step()
        self._engine.cancel(1)
        return begin, self._events

    def first_token(self, prompt: Prompt) -> float:
        """Seconds from the prompt to the first token."""
        begin, events = self.run(prompt, 1)
        return next(moment for moment, event in events if isinstance(event, Delta)) - begin

    def fill(self, tokens: Sequence[int], seconds: float = _FOR_EVER) -> None:
        """Have these evaluated, so that what follows them is measured at that depth."""
        self.run(TokenPrompt(tuple(tokens)), 0, seconds)

    def hold(self, head: Sequence[int]) -> None:
        """Begin with a cache that holds this and nothing else: what was evaluated once is put back."""
        self.forget()
        known = tuple(head)
        if state := self._heads.get(known):
            self._shelf.put(known, state)
        if head:
            self.fill(head)
        if head and not state:
            ((_, self._heads[known]),) = self._engine.states()

    def prefill(self, tokens: Sequence[int], seconds: float = _FOR_EVER) -> float:
        """Tokens a second at which those of `tokens` are evaluated that are not in the cache yet."""
        begin, events = self.run(TokenPrompt(tuple(tokens)), 1, seconds)
        done, event = events[-1]
        assert isinstance(event, Done)
        return event.timings.prompt_n / (done - begin)

    def decode(self, tokens: Sequence[int], count: int, seconds: float = _FOR_EVER) -> float:
        """Tokens a second at which `count` tokens are generated after `tokens`."""
        _, events = self.run(TokenPrompt(tuple(tokens)), count, seconds)
        moments = [moment for moment, event in events if isinstance(event, Delta)]
        if len(moments) < 2:
            return len(moments) / seconds  # cut off before there was a span to measure
        return (len(moments) - 1) / (moments[-1] - moments[0])

    def close(self) -> None:
        self._runner.close()

    def _on_event(self, _: int, event: Event) -> None:
        self._events.append((time.perf_counter(), event))
