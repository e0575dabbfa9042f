"""Finishing a word in whose middle the cursor stands ("token healing"). Pure given a vocabulary.

Half a word is cut into other tokens than the whole would be, and a model has hardly ever seen those at a word's end.
The half is therefore left out of the prompt, and the first tokens drawn are held to spelling it: `js` comes back as the
beginning of ` json`. Besides, typing on inside a word leaves the prompt as it was.
"""

from __future__ import annotations

import re
from typing import Protocol

__all__ = ["Healing", "Speller", "split"]

_HALF_WORD = re.compile(r"(?<![^\W_]) ?\w{1,24}\Z")


class Speller(Protocol):
    """What a vocabulary knows of its tokens' bytes."""

    def piece(self, token: int) -> bytes: ...
    def spelling_of(self, text: bytes) -> list[int]: ...


def split(prefix: str) -> tuple[str, str]:
    """What is before the word that `prefix` ends in, and that word with the space that its token would begin with."""
    half = _HALF_WORD.search(prefix)
    return (prefix[: half.start()], half[0]) if half else (prefix, "")


class Healing:
    """What the next tokens still have to spell."""

    def __init__(self, text: str) -> None:
        self._left = text.encode("utf-8", "replace")

    @property
    def done(self) -> bool:
        """Nothing more is prescribed."""
        return not self._left

    def allowed(self, speller: Speller) -> list[int]:
        """The tokens that go on as prescribed."""
        return speller.spelling_of(self._left)

    def take(self, piece: bytes) -> bytes:
        """The next token spells `piece`. Returns what of it is new."""
        length = len(self._left)
        self._left = self._left[len(piece) :]
        return piece[length:]
