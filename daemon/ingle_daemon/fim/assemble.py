"""From a hole in a file to the model's own prompt, in token ids. Pure given a tokenizer.

The text of a file is never parsed for special tokens: code that spells one stays text. The windows on the file move in
whole blocks, so that typing or scrolling leaves the head of the prompt as it was and the KV cache keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ingle_daemon.fim.templates import Template
from ingle_daemon.protocol import InfillPrompt

__all__ = ["Assembled", "Tokenizer", "assemble", "suffix_stop"]


class Tokenizer(Protocol):
    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]: ...


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
_CONTEXT_SHARE = 0.3
"""Of the budget, for pieces of other files where there are any."""
_NAMES = 48
"""Tokens for the repository's and the file's name alone."""
_PREFIX_SHARE = 0.75
"""Of the budget for the file itself; the suffix has the rest, and what one leaves over the other may take."""


def assemble(prompt: InfillPrompt, tokenizer: Tokenizer, template: Template, budget: int) -> Assembled:
    """At most `budget` tokens.

    The hole in the model's own layout, with repository-level context where it was trained on that; a plain continuation
    of the prefix, stopped where it meets the suffix, where it was not trained to fill in.
    """
    if not template.usable:
        prefix = tokenizer.tokenize(prompt.prefix, special=False, add_special=template.bos >= 0)
        return Assembled(_tail_in_blocks(prefix, budget), suffix_stop(prompt.suffix))
    prefix = tokenizer.tokenize(prompt.prefix, special=False)
    suffix = tokenizer.tokenize(prompt.suffix, special=False)
    room = budget - _MARKERS
    context_room = _context_room(prompt, template, room)
    context = _context(prompt, tokenizer, template, context_room)
    room -= context_room  # all of it: the file's windows may not move when a piece comes or goes
    for_prefix = max(int(room * _PREFIX_SHARE), room - len(suffix))
    prefix = _tail_in_blocks(prefix, for_prefix)
    # As if the prefix filled its last block: neither the suffix's end nor context may come and go while it grows.
    reserved = _whole_blocks(len(prefix), for_prefix)
    suffix = suffix[: room - reserved]
    bos = [template.bos] if template.bos >= 0 else []
    return _lay_out(template, [*bos, *context.before], [*context.inside, *prefix], suffix)


def _lay_out(template: Template, head: list[int], prefix: list[int], suffix: list[int]) -> Assembled:
    """The parts in the template's order."""
    end = [template.mid] if template.mid >= 0 else []
    if template.order == "spm":
        tokens = [*head, template.suf, *suffix, template.pre, *prefix, *end]
        return Assembled(tokens, template.stops)
    if template.order == "spm-joint":
        return Assembled([*head, template.pre, template.suf, *suffix, *end, *prefix], template.stops)
    before = [*head, template.pre, *prefix]
    return Assembled([*before, template.suf, *suffix, *end], template.stops, joint=len(before))


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


def _context_room(prompt: InfillPrompt, template: Template, room: int) -> int:
    """Tokens kept for what is not the file's own text."""
    if template.sep < 0 and not template.header:
        return 0
    share = int(room * _CONTEXT_SHARE)
    if prompt.extra:
        return share
    return min(share, _NAMES) if prompt.filename else 0


@dataclass(frozen=True, slots=True)
class _Context:
    """What goes before all of the file, and what goes before its prefix."""

    before: tuple[int, ...] = ()
    inside: tuple[int, ...] = ()


def _context(prompt: InfillPrompt, tokenizer: Tokenizer, template: Template, room: int) -> _Context:
    """Repository name, other files' pieces, and this file's name, as far as the model knows them and there is room."""
    marker = [template.sep] if template.sep >= 0 else []
    if not (marker or template.header) or not (prompt.extra or prompt.filename):
        return _Context()

    def text_of(text: str) -> list[int]:
        return tokenizer.tokenize(text, special=False)

    repo = [template.rep, *text_of((prompt.repo or "repository") + template.repo_end)] if template.rep >= 0 else []
    name = text_of(f"{template.header}{prompt.filename or 'file'}\n")
    pieces: list[int] = []
    for piece in reversed(prompt.extra):  # the newest come last, and are the ones to have
        text = text_of(f"{template.header}{piece.filename or 'file'}\n{piece.text.rstrip()}\n")
        if len(repo) + len(pieces) + len(text) + len(name) + 2 * len(marker) > room:
            continue
        pieces = [*marker, *text, *pieces]
    if len(repo) + len(pieces) + len(name) + len(marker) > room:
        return _Context()
    if not marker:  # plain text, which is a part of the prefix
        return _Context(inside=(*pieces, *name))
    if template.name_in_prefix:
        return _Context((*repo, *pieces, *marker), tuple(name))
    return _Context((*repo, *pieces, *marker, *name))
