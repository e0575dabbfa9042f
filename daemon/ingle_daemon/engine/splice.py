"""Which cells of another sequence can stand in for the suffix of a fill-in-the-middle prompt. Pure.

In a prefix-suffix-middle prompt every typed character moves the suffix, and a cache that knows only common prefixes
evaluates all of it again. Attention looks at what a cell holds and at how far away it is, not at which sequence it was
made for: the suffix's cells, computed a few typed tokens ago, are nearly the ones that an exact evaluation would give.
They are lent to a sequence of their own, behind the prefix as it is now. They keep their positions: no cell is ever
rewritten, so whoever lent them stays exact; positions that the prefix has grown into are then taken twice, which
distorts distances as little as a gap of the same size would (docs/performance.md has the agreement measured).

This module compares token ids. It knows nothing of cells, and does not decide when a copy is made exact again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from ingle_daemon.engine.tokens import common_prefix

__all__ = ["HEAD", "MAX_DRIFT", "Block", "find_block"]

MAX_DRIFT = 64
"""Tokens by which the prefix may have changed since the suffix was evaluated."""
_SMALLEST = 64
"""Shorter blocks are evaluated as fast."""
HEAD = 2
"""Tokens of the suffix, its marker among them, that are evaluated anew all the same: what follows reads from these
what stands before the hole. Lending them too makes the next token's distribution differ three to five times as much."""
_NEAR = 32
"""How many tokens at the suffix's head may have to be evaluated anew: a bracket that the editor closed, a new line."""


@dataclass(frozen=True, slots=True)
class Block:
    """`length` tokens from index `start` of `slot`, which are the prompt's from index `at` on.

    `drift`: how many tokens of what stands before the block were added or removed since it was evaluated.
    """

    slot: int
    start: int
    at: int
    length: int
    drift: int


def find_block(residents: Iterable[tuple[int, list[int]]], prompt: list[int], joint: int) -> Block | None:
    """The longest block that can stand in for part of `prompt[joint:-1]`, of equals the least drifted.

    `residents` are slots and their tokens, evaluated as they stand. The prompt's last token is never part of a block:
    its logits are wanted.
    """
    blocks = [block for slot, tokens in residents if (block := _block(slot, tokens, prompt, joint))]
    return max(blocks, key=lambda block: (block.length, -block.drift), default=None)


def _block(slot: int, tokens: list[int], prompt: list[int], joint: int) -> Block | None:
    shared = min(common_prefix(tokens, prompt), joint)
    if len(tokens) - shared < _SMALLEST or joint - shared > MAX_DRIFT:
        return None
    suffix = prompt[joint:-1]
    start, at, length = _whole(tokens, suffix, shared) or _later_part(tokens, suffix, shared)
    drift = (start - shared) + (joint + at - shared)
    anew = max(HEAD - at, 0)
    # A block longer than the drift also keeps the positions after it ascending.
    if length - anew < max(_SMALLEST, 2 * drift) or drift > MAX_DRIFT:
        return None
    return Block(slot, start + anew, joint + at + anew, length - anew, drift)


def _whole(tokens: list[int], suffix: list[int], shared: int) -> tuple[int, int, int] | None:
    """The suffix as it was: the usual case, in which only the prefix has changed."""
    window = tokens[shared : shared + MAX_DRIFT + 1]
    if not suffix or suffix[0] not in window:
        return None
    start = shared + window.index(suffix[0])
    length = common_prefix(tokens[start:], suffix)
    return (start, 0, length) if length >= _SMALLEST else None


def _later_part(tokens: list[int], suffix: list[int], shared: int) -> tuple[int, int, int]:
    """The longest run of the suffix that begins near its head: the cursor moved, or a bracket was closed."""
    old = tokens[shared : shared + MAX_DRIFT + len(suffix)]
    match = SequenceMatcher(None, old, suffix, autojunk=False).find_longest_match()
    return (shared + match.a, match.b, match.size) if match.b <= _NEAR else (0, 0, 0)
