"""Guesses at what comes next by looking up what came next last time: prompt lookup decoding. Pure.

Where an answer repeats its prompt, as edits of code do, the last few tokens stand somewhere before, and what followed
them there is often what follows now. The engine evaluates the guess in one batch with the last token and keeps what the
model would have said itself. (Saxena, "Prompt Lookup Decoding", 2023; llama.cpp's `lookup` example.)
"""

from __future__ import annotations

__all__ = ["LONGEST", "PromptLookup"]

LONGEST = 8
"""Tokens of a guess at most: the batch whose cost is measured when the model is loaded holds one more."""
_NGRAM = 3
"""Tokens that must have stood together before. Two find more, and mostly wrong."""


class PromptLookup:
    """The n-grams of one sequence's tokens and where each was last followed by something."""

    def __init__(self) -> None:
        self._follower: dict[tuple[int, ...], int] = {}
        self._indexed = _NGRAM

    def propose(self, tokens: list[int], count: int) -> list[int]:
        """At most `count` tokens that may follow `tokens`, which only ever grow from call to call."""
        for index in range(self._indexed, len(tokens)):
            self._follower[tuple(tokens[index - _NGRAM : index])] = index
        self._indexed = max(len(tokens), self._indexed)
        start = self._follower.get(tuple(tokens[-_NGRAM:]))
        return tokens[start : start + min(count, LONGEST)] if start is not None else []
