"""Guesses at what comes next by looking up what came next last time, and how many of them pay. Pure.

Where an answer repeats its prompt, as edits of code do, the last few tokens stand somewhere before, and what followed
them there is often what follows now. The engine evaluates the guess in one batch with the last token and keeps what the
model would have said itself. (Saxena, "Prompt Lookup Decoding", 2023; llama.cpp's `lookup` example.)

A token in company costs less than one alone, because the weights are read once for all: on a GPU almost nothing, on a
CPU a good part of it. What a guess costs is taken from measured steps, and how likely it is right from how long the
lookup has been right without a break: in the middle of a copied function nearly always.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LONGEST", "PromptLookup", "StepTimes"]

LONGEST = 8
"""Tokens of a guess at most: the batch whose cost is measured when the model is loaded holds one more."""
_NGRAM = 3
"""Tokens that must have stood together before. Two find more, and mostly wrong."""
_GAIN = 1.25
"""A guess has to promise so many times the speed: the estimate is rough, and to guess is work too."""
_SURPRISE = 1.5
"""A step that takes so many times as long as expected was held up, or the expectation was wrong."""
_MEMORY = 0.8
"""Weight of what was known before, against the newest step."""
_LONGEST_STEP_S = 0.15
"""Nobody else gets in before a step ends. Where a single one takes as long, it may become half as long again."""
_WIDE = 4
_CHEAP = 1.5
"""A step of `_WIDE` tokens may take this many times as long as one of a single token."""


class PromptLookup:
    """The n-grams of one sequence's tokens and where each was last followed by something."""

    def __init__(self) -> None:
        self._follower: dict[tuple[int, ...], int] = {}
        self._indexed = 0
        self.streak = 0
        """How many tokens in a row were what had followed last time, of those that came since the first look."""

    def look(self, tokens: list[int]) -> int | None:
        """Where what may follow `tokens` begins in them. They only ever grow from call to call."""
        first_look = not self._indexed
        for index in range(max(self._indexed, _NGRAM), len(tokens)):
            before = tuple(tokens[index - _NGRAM : index])
            if not first_look:
                expected = self._follower.get(before)
                self.streak = self.streak + 1 if expected is not None and tokens[expected] == tokens[index] else 0
            self._follower[before] = index
        self._indexed = len(tokens)
        return self._follower.get(tuple(tokens[-_NGRAM:]))

    def propose(self, tokens: list[int], count: int, times: StepTimes) -> list[int]:
        """At most `count` tokens that may follow `tokens`, as many as promise to pay."""
        start = self.look(tokens)
        if start is None:
            return []
        return tokens[start : start + times.best_guess(self.streak, min(count, LONGEST))]


@dataclass(slots=True)
class StepTimes:
    """How long a step takes, in seconds: with a `single` token, and how much of that is `shared` by all in it.

    `shared` is the model's weights being read, which hardly changes; a single step becomes longer as the text does.
    """

    single: float
    shared: float

    @classmethod
    def measured(cls, single: float, wide: float, width: int) -> StepTimes:
        """From the times of a step of one token and of one of `width`."""
        return cls(single, max(single - max(wide - single, 0.0) / (width - 1), 0.0))

    @property
    def wide_is_cheap(self) -> bool:
        """Several tokens in one step cost hardly more than one."""
        return self.wide(_WIDE) < _CHEAP * self.single

    @property
    def guessing_pays(self) -> bool:
        """It would, of what is certain."""
        return 2 / self.wide(2) > _GAIN / self.single

    def learn(self, tokens: int, seconds: float) -> None:
        """A step of so many took so long, on a clock that moves. Steps of many tokens say nothing of guesses.

        A second token costs more than a ninth: only what the measurement at load cannot explain says that it was wrong.
        """
        if seconds <= 0 or tokens > LONGEST + 1:
            return
        if tokens == 1:
            self.single = _MEMORY * self.single + (1 - _MEMORY) * seconds
        elif not 1 / _SURPRISE < seconds / self.wide(tokens) < _SURPRISE:
            newest = StepTimes.measured(self.single, seconds, tokens).shared
            self.shared = _MEMORY * self.shared + (1 - _MEMORY) * newest

    def wide(self, tokens: int) -> float:
        """Seconds of a step of so many."""
        return self.single + max(self.single - self.shared, 0.0) * (tokens - 1)

    def best_guess(self, streak: int, most: int) -> int:
        """How many tokens to guess after `streak` right ones in a row; none where that does not pay."""
        right = (streak + 1) / (streak + 2)  # Laplace's rule of succession
        best, best_speed = 0, _GAIN / self.single
        longest = max(_LONGEST_STEP_S, _CHEAP * self.single)
        expected = chance = 1.0
        for count in range(1, most + 1):
            chance *= right
            expected += chance
            seconds = self.wide(count + 1)
            if expected / seconds > best_speed and seconds <= longest:
                best, best_speed = count, expected / seconds
        return best
