"""The engine's loop over one model: admit → schedule → decode → sample → emit. Knows no sockets and no threads.

Whoever drives it calls `submit` and `cancel` between steps and `step` while `busy`; everything that happens to a
request comes out of `emit`. The scheduler decides who runs, the KV table what is reused, the runner does the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ingle_daemon.engine.kv import Clear, Edit, KvTable
from ingle_daemon.engine.pace import Pace
from ingle_daemon.engine.prepare import Prepared
from ingle_daemon.engine.runner import BatchItem, Runner, Sampler
from ingle_daemon.engine.scheduler import RANK, Capacity, Slice, plan
from ingle_daemon.engine.sequence import Clocks, Sequence
from ingle_daemon.engine.shelf import Shelf
from ingle_daemon.engine.text import TextStream
from ingle_daemon.protocol import Delta, Done, Failed, GenerateRequest, Started, StopReason, Timings

__all__ = ["Emit", "Engine"]

Emit = Callable[[int, "Started | Delta | Done | Failed"], None]

_GARBAGE = 2048
"""Dead cells that are put up with: attention passes over them, but not for nothing."""
_HEADROOM = 32
"""Tokens of room a sequence asks for at a time while it grows."""


@dataclass(slots=True)
class _Run:
    """A sequence and the sampler that goes with it."""

    sequence: Sequence
    sampler: Sampler


class Engine:
    """Many requests on one model. Not thread-safe."""

    def __init__(
        self,
        runner: Runner,
        kv: KvTable,
        capacity: Capacity,
        shelf: Shelf,
        emit: Emit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = runner
        self._kv = kv
        self._capacity = capacity
        self._pace = Pace(capacity.prefill)
        self._shelf = shelf
        self._emit = emit
        self._clock = clock
        self._waiting: list[_Run] = []
        self._running: dict[int, _Run] = {}

    @property
    def busy(self) -> bool:
        """There is something to do."""
        return bool(self._waiting or self._running)

    def submit(self, request_id: int, request: GenerateRequest, prepared: Prepared, arrived: float) -> None:
        """Queue a request."""
        sequence = Sequence(
            id=request_id,
            priority=request.priority,
            sampling=request.sampling,
            limits=request.limits,
            logprobs=request.logprobs,
            prompt_tokens=len(prepared.tokens),
            tokens=list(prepared.tokens),
            text=TextStream(prepared.stops, request.limits.min_indent),
            clocks=Clocks(arrived),
            max_new=prepared.max_new,
        )
        sampler = Sampler(request.sampling, self._runner.vocab.size)
        sampler.accept(prepared.tokens)
        self._waiting.append(_Run(sequence, sampler))
        self._emit(request_id, Started(sequence.prompt_tokens, self._runner.n_ctx))

    def cancel(self, request_id: int) -> None:
        """Forget a request; what it evaluated stays for reuse. Unknown ids have ended already."""
        if running := self._running.get(request_id):
            self._retire(running)
        for run in [run for run in self._waiting if run.sequence.id == request_id]:
            self._waiting.remove(run)
            run.sampler.close()

    def step(self) -> None:
        """One batch."""
        if self._kv.garbage > _GARBAGE:
            self._compact()
        self._admit()
        capacity = replace(self._capacity, prefill=self._pace.slice)
        slices = self._make_room(plan([run.sequence for run in self._running.values()], capacity))
        if not slices:
            return
        self._decode(slices)
        self._sample(slices)
        self._count_skipped(slices)

    # --- admission ---

    def _admit(self) -> None:
        """Let waiting requests in while there is room, the most urgent first."""
        while self._waiting:
            run = min(self._waiting, key=_urgency)
            self._waiting.remove(run)
            if not self._enter(run):  # which may have sent a less urgent one back to the queue
                self._waiting.append(run)
                return

    def _enter(self, run: _Run) -> bool:
        sequence = run.sequence
        self._unshelve(sequence.tokens)
        reuse = self._kv.admit(sequence.tokens, min(sequence.max_new, _HEADROOM))
        if reuse is None and self._kv.compactable:
            self._compact()
            return self._enter(run)
        if reuse is None:
            return self._preempt_below(RANK[sequence.priority]) and self._enter(run)
        self._apply(reuse.edits)
        sequence.slot = reuse.slot
        sequence.evaluated = reuse.length
        if not sequence.clocks.admitted:
            sequence.clocks.admitted = self._clock()
            sequence.reused = min(reuse.length, sequence.prompt_tokens)
        self._running[sequence.id] = run
        return True

    def _preempt_below(self, rank: int) -> bool:
        """Send the least urgent running sequence below `rank` back to the queue; its tokens stay known."""
        lower = [run for run in self._running.values() if RANK[run.sequence.priority] > rank]
        if not lower:
            return False
        self._preempt(max(lower, key=_urgency))
        return True

    def _preempt(self, run: _Run) -> None:
        sequence = run.sequence
        del self._running[sequence.id]
        self._apply(self._kv.drop(sequence.slot))
        sequence.slot, sequence.evaluated = -1, 0
        self._waiting.append(run)

    def _make_room(self, slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
        """Promise every slice its cells; where there are none, the least urgent sequence leaves."""
        for piece in slices:
            if piece.id not in self._running:
                continue
            sequence = self._running[piece.id].sequence
            while self._kv.room(sequence.slot) < piece.count:
                left = sequence.prompt_tokens + sequence.max_new - sequence.evaluated
                edits = self._kv.grow(sequence.slot, min(max(_HEADROOM, piece.count), left))
                if edits is not None:
                    self._apply(edits)
                    continue
                if self._kv.compactable:
                    self._compact()
                    if piece.id not in self._running:
                        break
                    continue
                victim = max(self._running.values(), key=_urgency)
                self._preempt(victim)
                if victim.sequence is sequence:
                    break
        return tuple(piece for piece in slices if piece.id in self._running)

    # --- what leaves the cache and comes back ---

    def states(self) -> list[tuple[list[int], bytes]]:
        """Everything evaluated that is worth keeping for the next run, the most recently used first."""
        for run in list(self._running.values()):
            self._retire(run)
        residents = [held for held in reversed(self._kv.idle()) if self._shelf.wants(tuple(held.tokens))]
        return [(list(held.tokens), self._runner.save(held.slot)) for held in residents] + self._shelf.all()

    def _compact(self) -> None:
        """Free every cell that nobody uses: running sequences move together, the rest goes to the shelf."""
        for held in self._kv.idle():
            if self._shelf.wants(tuple(held.tokens)):
                self._shelf.put(tuple(held.tokens), self._runner.save(held.slot))
        runs = sorted(self._running.values(), key=_urgency)
        states = [self._runner.save(run.sequence.slot) for run in runs]
        self._kv.compact()
        self._runner.clear()
        for run, state in zip(runs, states, strict=True):
            sequence = run.sequence
            evaluated = sequence.tokens[: sequence.evaluated]
            if not evaluated:
                continue
            if self._kv.refill(sequence.slot, evaluated) and self._runner.load(sequence.slot, state):
                continue
            self._shelf.put(tuple(evaluated), state)
            self._preempt(run)

    def _apply(self, edits: tuple[Edit, ...]) -> None:
        """Edit the cache; what is cleared goes to the shelf first."""
        for edit in edits:
            if isinstance(edit, Clear) and self._shelf.wants(edit.tokens):
                self._shelf.put(edit.tokens, self._runner.save(edit.slot))
            self._runner.apply((edit,))

    def _unshelve(self, prompt: list[int]) -> None:
        """Put back the state that knows most of `prompt`, if it knows more than the cache does and there is room."""
        found = self._shelf.take(prompt, more_than=self._kv.longest_prefix(prompt))
        if found is None:
            return
        tokens, state = found
        place = self._kv.place(tokens)
        if place is None:
            self._shelf.put(tuple(tokens), state)
            return
        self._apply(place.edits)
        if not self._runner.load(place.slot, state):
            self._kv.drop(place.slot)

    # --- decoding ---

    def _decode(self, slices: tuple[Slice, ...]) -> None:
        items = []
        for piece in slices:
            sequence = self._running[piece.id].sequence
            start = sequence.evaluated
            tokens = sequence.tokens[start : start + piece.count]
            items.append(BatchItem(sequence.slot, start, tokens, int(piece.count == sequence.pending)))
        begin = self._clock()
        self._runner.decode(items)
        self._pace.learn(sum(len(item.tokens) for item in items), self._clock() - begin)
        for item, piece in zip(items, slices, strict=True):
            self._kv.evaluated(item.slot, item.tokens)
            self._running[piece.id].sequence.evaluated += len(item.tokens)

    def _sample(self, slices: tuple[Slice, ...]) -> None:
        """Draw a token for every sequence whose last known token was in the batch."""
        output = 0
        for piece in slices:
            run = self._running[piece.id]
            if run.sequence.pending == 0:
                self._draw(run, output)
                output += 1

    def _draw(self, run: _Run, output: int) -> None:
        sequence = run.sequence
        now = self._clock()
        if not sequence.clocks.first_token:
            sequence.clocks.first_token = now
        if not sequence.max_new:  # a warm-up: the prompt was all
            self._finish(run, "limit")
            return
        token = self._runner.sample(run.sampler, output)
        if self._runner.vocab.is_end(token):
            self._finish(run, "end")
            return
        sequence.tokens.append(token)
        logprobs = (self._runner.logprob(output, token),) if sequence.logprobs else ()
        text = sequence.text.feed(self._runner.vocab.piece(token))
        reason = self._reason_to_stop(sequence, now)
        if reason and not sequence.text.ended:
            text += sequence.text.flush()
        self._emit(sequence.id, Delta(text, (token,), logprobs))
        if reason:
            self._finish(run, reason)

    @staticmethod
    def _reason_to_stop(sequence: Sequence, now: float) -> StopReason | None:
        if sequence.text.stopped:
            return "stop"
        if sequence.text.dedented:
            return "indent"
        if sequence.generated >= sequence.max_new:
            return "limit"
        limit = sequence.limits.time_ms
        if limit is not None and sequence.text.lines and (now - sequence.clocks.first_token) * 1000 > limit:
            return "time"
        return None

    def _finish(self, run: _Run, reason: StopReason) -> None:
        sequence = run.sequence
        if rest := sequence.text.flush():
            self._emit(sequence.id, Delta(rest))
        self._emit(sequence.id, Done(reason, sequence.text.stopped, self._timings(sequence)))
        self._retire(run)

    def _retire(self, run: _Run) -> None:
        del self._running[run.sequence.id]
        self._kv.release(run.sequence.slot)
        run.sampler.close()

    def _timings(self, sequence: Sequence) -> Timings:
        clocks = sequence.clocks
        return Timings(
            cache_n=sequence.reused,
            prompt_n=sequence.prompt_tokens - sequence.reused,
            prompt_ms=(clocks.first_token - clocks.admitted) * 1000,
            predicted_n=sequence.generated,
            predicted_ms=(self._clock() - clocks.first_token) * 1000,
            queue_ms=(clocks.admitted - clocks.arrived) * 1000,
        )

    def _count_skipped(self, slices: tuple[Slice, ...]) -> None:
        served = {piece.id for piece in slices}
        for run in self._running.values():
            run.sequence.skipped = 0 if run.sequence.id in served else run.sequence.skipped + 1


def _urgency(run: _Run) -> tuple[int, float]:
    """Larger is less urgent."""
    return RANK[run.sequence.priority], run.sequence.clocks.arrived
