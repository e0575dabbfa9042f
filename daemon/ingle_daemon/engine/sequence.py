"""One request inside the engine: its tokens, how far they are evaluated, when it stops. Knows no llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingle_daemon.engine.text import TextStream
from ingle_daemon.protocol import Limits, Priority, Sampling

__all__ = ["Clocks", "Sequence"]


@dataclass(slots=True)
class Clocks:
    """Moments in seconds of a monotonic clock; 0 where one has not come yet."""

    arrived: float
    admitted: float = 0.0
    first_token: float = 0.0


@dataclass(slots=True)
class Sequence:
    """A running request.

    `tokens` is the prompt and then everything generated; the first `evaluated` of them are in the KV cache under
    `slot`. What is left, `pending`, is a slice of prompt still to prefill or the one token drawn last: the scheduler
    and the runner need not tell the two apart.
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
    slot: int = -1
    evaluated: int = 0
    reused: int = 0
    skipped: int = 0
    new_logprobs: list[float] = field(default_factory=list)
    new_tokens: list[int] = field(default_factory=list)

    @property
    def pending(self) -> int:
        """Tokens that are known but not evaluated."""
        return len(self.tokens) - self.evaluated

    @property
    def generated(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    @property
    def decoding(self) -> bool:
        """The prompt is evaluated; tokens are being drawn."""
        return self.generated > 0
