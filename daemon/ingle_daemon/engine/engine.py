"""The engine's loop over one model: admit → schedule → decode → sample → emit. Knows no sockets and no threads.

Whoever drives it calls `submit` and `cancel` between steps and `step` while `busy`; everything that happens to a
request comes out of `emit`. The scheduler decides who runs, the KV table what is reused, the runner does the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.cache import Cache
from ingle_daemon.engine.draft import LONGEST, StepTimes
from ingle_daemon.engine.frames import OWN
from ingle_daemon.engine.heal import Healing
from ingle_daemon.engine.interrupt import Interrupts
from ingle_daemon.engine.pace import Pace
from ingle_daemon.engine.prepare import Prepared
from ingle_daemon.engine.refresh import Refresh, Stale
from ingle_daemon.engine.runner import Interrupted, Runner, Sampler
from ingle_daemon.engine.scheduler import RANK, Capacity, Slice, plan
from ingle_daemon.engine.sequence import Clocks, Reused, Sequence
from ingle_daemon.engine.splice import MAX_DRIFT
from ingle_daemon.engine.text import TextStream
from ingle_daemon.engine.tokens import common_prefix
from ingle_daemon.protocol import (
    Begun,
    Delta,
    Done,
    Failed,
    GenerateRequest,
    Sampling,
    Started,
    StopReason,
    TokenPrompt,
)

__all__ = ["Emit", "Engine"]

Emit = Callable[[int, "Started | Begun | Delta | Done | Failed"], None]

_HEADROOM = 32
"""Tokens of room a sequence asks for at a time while it grows."""
_TIDY_S = 0.3
"""After so long without a request the cache is compacted, if that pays: it takes as long as a keystroke may."""


@dataclass(slots=True)
class _Run:
    """A sequence and the sampler that goes with it."""

    sequence: Sequence
    sampler: Sampler


class Engine:
    """Many requests on one model. Not thread-safe.

    As long as `undisturbed` says that nobody came, a step goes on with the tokens of an answer that is alone.
    """

    def __init__(
        self,
        runner: Runner,
        cache: Cache,
        capacity: Capacity,
        times: StepTimes,
        emit: Emit,
        *,
        splice: bool = True,
        undisturbed: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner = runner
        self._cache = cache
        self._capacity = capacity
        self._times = times
        self._splice = splice and runner.splices
        self._pace = Pace(capacity.prefill)
        self.interrupts = Interrupts(runner.abort)
        self._emit = emit
        self._undisturbed = undisturbed
        self._clock = clock
        self._waiting: list[_Run] = []
        self._running: dict[int, _Run] = {}
        self._refresh = Refresh()
        self._idle_since = clock()

    @property
    def busy(self) -> bool:
        """There is something to do."""
        return bool(self._waiting or self._running)

    def submit(self, request_id: int, request: GenerateRequest, prepared: Prepared, arrived: float) -> None:
        """Queue a request, whose id is not negative."""
        if request.priority == "completion":
            self._type_on(prepared)
        sequence = self._queue(request_id, request, prepared, arrived)
        self.interrupts.arrived(request_id)
        self._emit(request_id, Started(sequence.prompt_tokens, self._runner.n_ctx))

    def _queue(self, request_id: int, request: GenerateRequest, prepared: Prepared, arrived: float) -> Sequence:
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
            joint=prepared.joint,
            splice=self._splice,
            healing=Healing(prepared.half_word),
        )
        sampler = Sampler(request.sampling, self._runner.vocab, request.grammar)
        sampler.accept(prepared.tokens)
        self._waiting.append(_Run(sequence, sampler))
        return sequence

    def cancel(self, request_id: int) -> None:
        """End a request; what it evaluated stays for reuse. Unknown ids have ended already."""
        self.interrupts.left(request_id)
        if running := self._running.get(request_id):
            self._finish(running, "cancelled")
        for run in [run for run in self._waiting if run.sequence.id == request_id]:
            self._waiting.remove(run)
            run.sampler.close()
            self._tell(run.sequence, Done("cancelled", timings=run.sequence.timings(self._clock())))

    def step(self) -> None:
        """One batch, or more: see the class."""
        if self._cache.worn:
            self._compact(keep_idle=True)
        self._admit()
        self._join()
        long = self._begin_long()
        try:
            slices = self._make_room(self._plan(long=long))
            if slices:
                self._decode(slices)
        except Interrupted:
            self._pace.interrupted()
            return
        finally:
            if long:
                self.interrupts.end()
        self._sample(slices)
        self._count_skipped(slices)
        while self._undisturbed() and (run := self._alone()):
            self._decode_next(run.sequence)
            self._draw(run, 0)

    def _begin_long(self) -> bool:
        """Whether this step may take its time: it can be interrupted, and nobody's next token waits for it."""
        if not (self._runner.interruptible and self._pace.may_be_long):
            return False
        sequences = [run.sequence for run in self._running.values() if run.sequence.priority != "warm-up"]
        reading = all(sequence.priority == "ask" and not sequence.decoding for sequence in sequences)
        return (
            bool(sequences)
            and reading
            and self.interrupts.begin("ask", frozenset(sequence.id for sequence in sequences))
        )

    def _plan(self, *, long: bool) -> tuple[Slice, ...]:
        if self._guesses:
            left = LONGEST
            for run in self._running.values():
                run.sequence.guess(self._times, left)
                left -= len(run.sequence.draft)
        sequences = [run.sequence for run in self._running.values()]
        if not all(sequence.decoding for sequence in sequences):
            self._choose_prefill(sequences, long=long)
        return plan(sequences, self._capacity)

    def _choose_prefill(self, sequences: list[Sequence], *, long: bool) -> None:
        in_background = all(sequence.priority == "warm-up" for sequence in sequences)
        prefill = self._pace.background_slice if in_background else self._pace.slice
        if long:
            prefill = self._pace.long_slice
        if prefill != self._capacity.prefill:
            self._capacity = replace(self._capacity, prefill=prefill)

    @property
    def _guesses(self) -> bool:
        """What is guessed is evaluated beside other tokens, and may not change the answer for a bit of speed; and what
        was guessed wrong is taken back."""
        harmless = self._runner.exact or self._capacity.wide_is_cheap
        return harmless and self._runner.rewinds and self._times.guessing_pays

    def rest(self) -> float | None:
        """Nobody waits for anything: do what was put off. Returns the seconds until there is more to do, if ever."""
        now = self._clock()
        refresh = self._refresh.due_in(now)
        tidy = max(self._idle_since + _TIDY_S - now, 0.0) if self._cache.untidy else None
        if tidy == 0:
            self._compact(keep_idle=True)
            tidy = None
        if refresh == 0 and (stale := self._refresh.take()):
            self._begin_refresh(stale)
        return min((wait for wait in (refresh, tidy) if wait is not None), default=None)

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
        headroom = min(sequence.prompt_tokens + sequence.max_new - len(sequence.tokens), _HEADROOM)
        admission = self._cache.admit(sequence.tokens, headroom, spare_suffix=sequence.joint > 0)
        if admission is None and self._cache.compactable:
            self._compact(keep_idle=False)
            admission = self._cache.admit(sequence.tokens, headroom, spare_suffix=sequence.joint > 0)
        if admission is None:
            return self._preempt_below(RANK[sequence.priority]) and self._enter(run)
        sequence.enter(admission.slot, admission.length)
        if not sequence.clocks.admitted:
            sequence.clocks.admitted = self._clock()
            sequence.reused = Reused(shelf=admission.length) if admission.shelved else Reused(admission.length)
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
        self._cache.drop(sequence.slot)
        sequence.leave()
        self._waiting.append(run)

    def _make_room(self, slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
        """Promise every slice its cells; where there are none, the least urgent sequence leaves."""
        promised = []
        for piece in slices:
            count = piece.tokens
            while run := self._running.get(piece.id):
                sequence = run.sequence
                if self._cache.reserve(sequence.slot, count, min(_HEADROOM, sequence.room)):
                    break
                if sequence.draft:  # nobody makes room for a guess
                    sequence.draft = []
                    count = min(count, sequence.pending)
                elif self._cache.compactable:
                    self._compact(keep_idle=False)
                else:
                    self._preempt(max(self._running.values(), key=_urgency))
            promised.append(Slice(piece.id, count))
        return tuple(piece for piece in promised if piece.id in self._running)

    def _compact(self, *, keep_idle: bool) -> None:
        runs = sorted(self._running.values(), key=_urgency)
        slots = [(run.sequence.slot, run.sequence.tokens[: run.sequence.evaluated]) for run in runs]
        lost = self._cache.compact(slots, keep_idle=keep_idle)
        for run in runs:
            if run.sequence.slot in lost:
                self._preempt(run)

    def states(self) -> list[tuple[list[int], bytes]]:
        """Everything evaluated that is worth keeping for the next run. Ends all requests."""
        for run in list(self._running.values()):
            self._retire(run)
        return self._cache.states()

    # --- splicing ---

    def _join(self) -> None:
        """Where a prompt's prefix is evaluated, put lent cells in the suffix's place, if there are any."""
        for run in self._running.values():
            sequence = run.sequence
            while sequence.hold and not sequence.pending:
                block = self._cache.block(sequence.tokens, sequence.joint)
                if block and block.at > sequence.evaluated:
                    sequence.hold = block.at
                elif block and block.at == sequence.evaluated and (joined := self._cache.join(sequence.slot, block)):
                    sequence.join(joined.slot, joined.evaluated, joined.shift)
                    sequence.reused.splice = block.length
                    sequence.drift = block.drift
                else:
                    sequence.hold = 0

    def _begin_refresh(self, stale: Stale) -> None:
        """Evaluate a prompt again, without lent cells, for whoever comes next."""
        block = self._cache.block(stale.tokens, stale.joint)
        if block and not block.drift:
            return  # done meanwhile
        request = GenerateRequest(TokenPrompt(()), "warm-up", sampling=Sampling(temperature=0))
        prepared = Prepared(stale.tokens, (), max_new=0, joint=stale.joint)
        self._queue(OWN, request, prepared, self._clock()).splice = False

    def _type_on(self, prepared: Prepared) -> None:
        """Somebody types. What is evaluated anew goes on, unless that is for another place."""
        self._refresh.forget()
        for run in (*self._waiting, *self._running.values()):
            old = run.sequence
            if old.id == OWN and common_prefix(old.tokens, prepared.tokens) < old.joint - MAX_DRIFT:
                self.cancel(OWN)
                return

    # --- decoding ---

    def _decode(self, slices: tuple[Slice, ...]) -> None:
        batch = []
        tokens = 0
        for piece in slices:
            sequence = self._running[piece.id].sequence
            if not sequence.begun:
                sequence.begun = True
                self._tell(sequence, Begun())
            start = sequence.evaluated
            known = sequence.tokens[start : start + piece.tokens]
            sequence.draft = sequence.draft[: piece.tokens - len(known)]
            outputs = 1 + len(sequence.draft) if start + len(known) == len(sequence.tokens) else 0
            batch.append((sequence, BatchItem(sequence.slot, start + sequence.shift, known + sequence.draft, outputs)))
            tokens += len(known) + len(sequence.draft)
        begin = self._clock()
        self._runner.decode([item for _, item in batch])
        seconds = self._clock() - begin
        self._pace.learn(tokens, seconds)
        self._times.learn(tokens, seconds)
        for sequence, item in batch:
            self._cache.evaluated(item.slot, item.tokens)
            sequence.evaluated += len(item.tokens) - len(sequence.draft)

    def _alone(self) -> _Run | None:
        """The only run, if all it has left to evaluate is the token drawn last: then there is nothing to plan."""
        if self._waiting or len(self._running) != 1 or self._cache.worn:
            return None
        (run,) = self._running.values()
        sequence = run.sequence
        if not sequence.decoding or sequence.pending != 1:
            return None
        if self._guesses:
            sequence.guess(self._times, LONGEST)
            if sequence.draft:
                return None
        return run if self._cache.reserve(sequence.slot, 1, min(_HEADROOM, sequence.room)) else None

    def _decode_next(self, sequence: Sequence) -> None:
        """`_decode` for the token drawn last."""
        token = sequence.tokens[-1:]
        begin = self._clock()
        self._runner.decode([BatchItem(sequence.slot, sequence.evaluated + sequence.shift, token, 1)])
        self._times.learn(1, self._clock() - begin)
        self._cache.evaluated(sequence.slot, token)
        sequence.evaluated += 1

    def _sample(self, slices: tuple[Slice, ...]) -> None:
        """Draw tokens for every sequence whose last known token was in the batch."""
        output = 0
        for piece in slices:
            run = self._running[piece.id]
            if run.sequence.complete:
                outputs = 1 + len(run.sequence.draft)
                self._draw(run, output)
                output += outputs

    def _draw(self, run: _Run, output: int) -> None:
        """Draw a token, and another for every guess that turns out right; take back the guesses that do not."""
        sequence = run.sequence
        guesses, sequence.draft = sequence.draft, []
        reason = self._draw_one(run, output)
        for row, guess in enumerate(guesses, output + 1):
            if reason or sequence.tokens[-1] != guess:
                break
            sequence.evaluated += 1
            reason = self._draw_one(run, row)
        if guesses:
            self._cache.retract(sequence.slot, sequence.evaluated, sequence.shift)
        if reason:
            self._finish(run, reason)

    def _draw_one(self, run: _Run, output: int) -> StopReason | None:
        """Draw from one output and tell it. Returns why that was the last, if it was."""
        sequence = run.sequence
        now = self._clock()
        if not sequence.clocks.first_token:
            sequence.clocks.first_token = now
        if not sequence.max_new:  # a warm-up: the prompt was all
            return "limit"
        token = self._next_token(run, output)
        if self._runner.vocab.is_end(token):
            return "end"
        sequence.tokens.append(token)
        piece = self._runner.vocab.piece(token)
        if not sequence.healing.done:
            piece = sequence.healing.take(piece)
        logprobs = (self._runner.logprob(output, token),) if sequence.logprobs and piece else ()
        text = sequence.text.feed(piece)
        reason = sequence.reason_to_stop(now)
        if reason and not sequence.text.ended:
            text += sequence.text.flush()
        self._tell(sequence, Delta(text, (token,), logprobs))
        return reason

    def _next_token(self, run: _Run, output: int) -> int:
        """Draw freely, or, inside a word, among those that spell it."""
        if not run.sequence.healing.done and (allowed := run.sequence.healing.allowed(self._runner.vocab)):
            return self._runner.best_of(allowed, output)
        return self._runner.sample(run.sampler, output)

    def _finish(self, run: _Run, reason: StopReason) -> None:
        sequence = run.sequence
        if rest := sequence.text.flush():
            self._tell(sequence, Delta(rest))
        self._tell(sequence, Done(reason, sequence.text.stopped, sequence.timings(self._clock())))
        self._retire(run)

    def _tell(self, sequence: Sequence, event: Begun | Delta | Done) -> None:
        """Of the engine's own request only the cost is told."""
        if sequence.id != OWN or isinstance(event, Done):
            self._emit(sequence.id, event)

    def _retire(self, run: _Run) -> None:
        sequence = run.sequence
        del self._running[sequence.id]
        self._cache.release(sequence.slot)
        run.sampler.close()
        self._idle_since = self._clock()
        if sequence.drift:
            stale = Stale(sequence.prompt, sequence.joint, sequence.drift)
            self._refresh.after(sequence.clocks.arrived, stale, self._pace.seconds(len(stale.tokens) - stale.joint))

    def _count_skipped(self, slices: tuple[Slice, ...]) -> None:
        served = [piece.id for piece in slices]
        for run in self._running.values():
            sequence = run.sequence
            if sequence.id in served:
                sequence.skipped = 0
            else:
                sequence.pauses += not sequence.skipped
                sequence.skipped += 1


def _urgency(run: _Run) -> tuple[int, float]:
    """Larger is less urgent."""
    return RANK[run.sequence.priority], run.sequence.clocks.arrived
