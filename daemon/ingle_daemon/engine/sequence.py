"""One request inside the engine: its tokens, how far they are evaluated, when it stops. Knows no llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingle_daemon.engine.draft import PromptLookup, StepTimes
from ingle_daemon.engine.heal import Healing
from ingle_daemon.engine.splice import HEAD
from ingle_daemon.engine.text import TextStream
from ingle_daemon.protocol import Limits, Priority, Sampling, StopReason, Timings

__all__ = ["Clocks", "Sequence"]


@dataclass(slots=True)
class Clocks:
    """Moments in seconds of a monotonic clock; 0 where one has not come yet."""

    arrived: float
    admitted: float = 0.0
    first_token: float = 0.0


@dataclass(slots=True)
class Reused:
    """Tokens of the prompt that needed no evaluation, by where they came from."""

    resident: int = 0
    shelf: int = 0
    splice: int = 0

    @property
    def total(self) -> int:
        return self.resident + self.shelf + self.splice


@dataclass(slots=True)
class Sequence:
    """A running request.

    `tokens` is the prompt and then everything generated; the first `evaluated` of them are in the KV cache under
    `slot`. What is left, `pending`, is a slice of prompt still to prefill or the one token drawn last: the scheduler
    and the runner need not tell the two apart.

    The suffix of a fill-in-the-middle prompt begins at `joint` (0: there is none). While `hold` is set, evaluation
    goes up to it and no further: there a block of lent cells may take the place of what follows, whose positions are
    then `shift` away from their indices. Once it had to leave the cache it goes on without.
    """

    id: int
    priority: Priority
    sampling: Sampling
    limits: Limits
    logprobs: bool
    prompt_tokens: int
    tokens: list[int]
    text: TextStream
    clocks: Clocks
    max_new: int
    joint: int = 0
    splice: bool = False
    """Lent cells will do."""
    healing: Healing = field(default_factory=lambda: Healing(""))
    begun: bool = False
    """Something of it was read."""
    slot: int = -1
    evaluated: int = 0
    hold: int = 0
    shift: int = 0
    draft: list[int] = field(default_factory=list)
    lookup: PromptLookup = field(default_factory=PromptLookup)
    drift: int = 0
    """Tokens by which the prefix differs from the one that the lent cells were evaluated after."""
    skipped: int = 0
    reused: Reused = field(default_factory=Reused)
    pauses: int = 0

    @property
    def pending(self) -> int:
        """Tokens that may be evaluated now, a guess at what comes next among them."""
        return (self.hold or len(self.tokens)) - self.evaluated + len(self.draft)

    @property
    def room(self) -> int:
        """Tokens that may be evaluated yet, all that may still be drawn among them."""
        return self.prompt_tokens + self.max_new - self.evaluated

    @property
    def complete(self) -> bool:
        """Every known token is evaluated: the next one can be drawn."""
        return self.evaluated == len(self.tokens)

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    @property
    def decoding(self) -> bool:
        """The prompt is evaluated; tokens are being drawn."""
        return self.generated > 0

    @property
    def prompt(self) -> list[int]:
        return self.tokens[: self.prompt_tokens]

    def guess(self, times: StepTimes, most: int) -> None:
        """Draft what may follow the token drawn last, which is all that is left to evaluate, where that pays."""
        left = min(self.max_new - self.generated - 1, most)
        free = self.decoding and self.healing.done and left > 0
        self.draft = self.lookup.propose(self.tokens, left, times) if free else []

    def enter(self, slot: int, evaluated: int) -> None:
        """Run in `slot`, which holds the first `evaluated` tokens."""
        self.slot, self.evaluated, self.shift = slot, evaluated, 0
        # What was joined before has left the suffix's head behind, too: the same prompt again may join as it did.
        self.hold = max(self.joint, evaluated) if self.splice and evaluated <= self.joint + HEAD else 0

    def join(self, slot: int, evaluated: int, shift: int) -> None:
        """Go on in `slot`, where a block of lent cells reaches up to `evaluated`."""
        self.slot, self.evaluated, self.shift, self.hold = slot, evaluated, shift, 0

    def leave(self) -> None:
        """The cache holds nothing of it any more."""
        self.slot, self.evaluated, self.shift, self.hold, self.splice = -1, 0, 0, 0, False
        self.draft = []

    def reason_to_stop(self, now: float) -> StopReason | None:
        """Why the token drawn last was the last, if it was. `now` on the clock of `clocks`."""
        if self.text.stopped:
            return "stop"
        if self.text.dedented:
            return "indent"
        if self.generated >= self.max_new:
            return "limit"
        limit = self.limits.time_ms
        if limit is not None and self.text.lines and (now - self.clocks.first_token) * 1000 > limit:
            return "time"
        return None

    def timings(self, now: float) -> Timings:
        """What it cost so far; what has not begun took no time."""
        admitted = self.clocks.admitted or now
        first_token = self.clocks.first_token or now
        known = self.reused.total
        return Timings(
            cache_n=known,
            shelf_n=self.reused.shelf,
            splice_n=self.reused.splice,
            prompt_n=max(min(self.evaluated, self.prompt_tokens) - known, 0),
            prompt_ms=(first_token - admitted) * 1000,
            predicted_n=self.generated,
            predicted_ms=(now - first_token) * 1000,
            queue_ms=(admitted - self.clocks.arrived) * 1000,
            pauses=self.pauses,
        )
