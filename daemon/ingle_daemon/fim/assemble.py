"""From a hole in a file to the model's own prompt, in token ids. Pure given a tokenizer.

The text of a file is never parsed for special tokens: code that spells one stays text. The windows on the file move in
whole blocks, so that typing or scrolling leaves the head of the prompt as it was and the KV cache keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingle_daemon.protocol import ContextPiece, InfillPrompt

__all__ = ["Assembled", "FimTokens", "Tokenizer", "assemble", "suffix_stop"]


class Tokenizer(Protocol):
    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class FimTokens:
    """The ids of the model's fill-in-the-middle tokens; -1 where it has none. `bos` is -1 where none is added."""

    pre: int
    suf: int
    mid: int
    rep: int
    sep: int
    bos: int

    @property
    def usable(self) -> bool:
        return min(self.pre, self.suf, self.mid) >= 0


@dataclass(frozen=True, slots=True)
class Assembled:
    """The prompt, and the strings at which the completion has run into what follows the hole.

    `joint` is the index at which the suffix begins after the prefix; 0 where it does not stand there.
    """

    tokens: list[int]
    stops: tuple[str, ...]
    joint: int = 0


_MARKERS = 8
"""Tokens kept for the markers and a file's header."""
_PREFIX_SHARE = 0.75
"""Of the budget for the file itself; the suffix has the rest, and what one leaves over the other may take."""


def assemble(prompt: InfillPrompt, tokenizer: Tokenizer, fim: FimTokens, budget: int) -> Assembled:
    """At most `budget` tokens.

    Prefix-suffix-middle with repository-level context where the model has the tokens, as llama-server's `/infill`
    lays it out; a plain continuation of the prefix, stopped where it meets the suffix, where it has none.
    """
    if not fim.usable:
        prefix = tokenizer.tokenize(prompt.prefix, special=False, add_special=fim.bos >= 0)
        return Assembled(_tail_in_blocks(prefix, budget), suffix_stop(prompt.suffix))
    prefix = tokenizer.tokenize(prompt.prefix, special=False)
    suffix = tokenizer.tokenize(prompt.suffix, special=False)
    room = budget - _MARKERS
    for_prefix = max(int(room * _PREFIX_SHARE), room - len(suffix))
    prefix = _tail_in_blocks(prefix, for_prefix)
    # As if the prefix filled its last block: neither the suffix's end nor context may come and go while it grows.
    reserved = _whole_blocks(len(prefix), for_prefix)
    suffix = suffix[: room - reserved]
    head = _context(prompt, tokenizer, fim, room - reserved - len(suffix))
    bos = [fim.bos] if fim.bos >= 0 else []
    before = [*bos, *head, fim.pre, *prefix]
    return Assembled([*before, fim.suf, *suffix, fim.mid], (), joint=len(before))


def suffix_stop(suffix: str) -> tuple[str, ...]:
    """The string at which a plain continuation has arrived at what follows: the suffix's next line with text in it."""
    first, _, rest = suffix.partition("\n")
    if first.strip():
        return (first,)
    following = next((line for line in rest.splitlines() if line.strip()), "")
    return ("\n" + following,) if following else ()


def _tail_in_blocks(tokens: list[int], budget: int) -> list[int]:
    """The last tokens, at most `budget`; what is left out grows by a quarter of the budget at a time."""
    if len(tokens) <= budget:
        return tokens
    block = max(budget // 4, 1)
    return tokens[-(-(len(tokens) - budget) // block) * block :]


def _whole_blocks(length: int, budget: int) -> int:
    block = max(budget // 4, 1)
    return min(-(-length // block) * block, budget)


def _context(prompt: InfillPrompt, tokenizer: Tokenizer, fim: FimTokens, room: int) -> list[int]:
    """Repository name, other files' pieces, and this file's name, where the model has tokens for them."""
    if fim.sep < 0 or not (prompt.extra or prompt.filename):
        return []
    repo = tokenizer.tokenize(f"{prompt.repo or 'repository'}\n", special=False) if fim.rep >= 0 else []
    head = [fim.rep, *repo] if repo else []
    tail = [fim.sep, *tokenizer.tokenize(f"{prompt.filename or 'file'}\n", special=False)]
    for piece in prompt.extra:
        tokens = [fim.sep, *_piece(piece, tokenizer)]
        if len(head) + len(tokens) + len(tail) > room:
            break
        head += tokens
    return [*head, *tail] if len(head) + len(tail) <= room else []


def _piece(piece: ContextPiece, tokenizer: Tokenizer) -> list[int]:
    return tokenizer.tokenize(f"{piece.filename or 'file'}\n{piece.text.rstrip()}\n", special=False)
