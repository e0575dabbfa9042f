"""From a prompt to token ids: chat template, fill-in-the-middle, or plain text. Counts exactly; truncates no question.

It knows the vocabulary and the context's size, not what runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ingle_daemon.engine.chat import ChatTemplate
from ingle_daemon.engine.heal import split
from ingle_daemon.engine.runner import Vocabulary
from ingle_daemon.errors import DoesNotFit, UsageError
from ingle_daemon.fim.assemble import assemble
from ingle_daemon.fim.templates import Template
from ingle_daemon.protocol import (
    ChatPrompt,
    Fit,
    GenerateRequest,
    InfillPrompt,
    Prompt,
    TextPrompt,
    TokenPrompt,
)

__all__ = ["Prepared", "Preparer"]

_INFILL_ANSWER = 128
"""Tokens kept free for a completion that sets no limit."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready to run: at most `max_new` tokens after `tokens`, stopping at any of `stops` too.

    `joint`: the index at which the suffix of a prefix-suffix-middle prompt begins; 0 where there is none.
    `half_word`: what the prompt was cut short by, for the answer to begin with; see heal.py.
    """

    tokens: list[int]
    stops: tuple[str, ...]
    max_new: int
    joint: int = 0
    half_word: str = ""


class Preparer:
    """Turns prompts into tokens for one loaded model; a hole in a file into `infill_budget` at most. Thread-safe."""

    def __init__(
        self, vocab: Vocabulary, template: ChatTemplate, fim: Template, n_ctx: int, *, infill_budget: int
    ) -> None:
        self._vocab = vocab
        self._template = template
        self._fim = fim
        self._n_ctx = n_ctx
        self._infill_budget = infill_budget

    def prepare(self, request: GenerateRequest) -> Prepared:
        """Raises DoesNotFit with the numbers, and UsageError for a prompt that makes no sense."""
        wanted = request.limits.max_tokens
        if request.grammar:
            self._vocab.check_grammar(request.grammar)
        if isinstance(request.prompt, InfillPrompt):
            budget = min(self._infill_budget, self._n_ctx - min(wanted or _INFILL_ANSWER, self._n_ctx // 2))
            head, half_word = split(request.prompt.prefix)
            prompt = msgspec.structs.replace(request.prompt, prefix=head)
            assembled = assemble(prompt, self._vocab, self._fim, budget)
            tokens, stops, joint = assembled.tokens or self._empty(), assembled.stops, assembled.joint
        else:
            half_word = ""
            self._refuse_hopeless(request.prompt)
            tokens, stops, joint = self._tokens(request.prompt), (), 0
        room = self._n_ctx - len(tokens)
        if room < 1:
            raise _does_not_fit(len(tokens), self._n_ctx, exact=True)
        max_new = room if wanted is None else max(min(wanted, room), 0)
        return Prepared(tokens, (*request.limits.stop, *stops), max_new, joint, half_word)

    def fit(self, prompt: Prompt, reserved: int) -> Fit:
        """Count without running. A prompt many times too large is bounded from below, not counted."""
        if isinstance(prompt, InfillPrompt):
            return Fit(self._infill_budget, reserved, self._n_ctx)
        if (bound := self._lower_bound(prompt)) > self._n_ctx:
            return Fit(bound, reserved, self._n_ctx, exact=False)
        return Fit(len(self._tokens(prompt)), reserved, self._n_ctx)

    def _tokens(self, prompt: ChatPrompt | TextPrompt | TokenPrompt) -> list[int]:
        if isinstance(prompt, ChatPrompt):
            return self._chat_tokens(prompt)
        if isinstance(prompt, TextPrompt):
            return self._vocab.tokenize(prompt.text, special=prompt.special, add_special=True) or self._empty()
        if wrong := [token for token in prompt.tokens if not 0 <= token < self._vocab.size]:
            raise UsageError(f"the model has no token {wrong[0]}", hint=f"Ids run from 0 to {self._vocab.size - 1}.")
        return list(prompt.tokens) or self._empty()

    def _chat_tokens(self, prompt: ChatPrompt) -> list[int]:
        first, *rest = self._template.render(prompt.messages)
        has_bos = first.startswith(self._vocab.spelling(self._vocab.bos) or "\0")
        tokens = self._vocab.tokenize(first, special=True, add_special=self._vocab.adds_bos and not has_bos)
        for piece in rest:
            tokens += self._vocab.tokenize(piece, special=True)
        return tokens

    def _empty(self) -> list[int]:
        """What an empty prompt is made of: something must be evaluated to draw a token after it."""
        return [self._vocab.bos if self._vocab.bos >= 0 else self._vocab.eos]

    def _refuse_hopeless(self, prompt: ChatPrompt | TextPrompt | TokenPrompt) -> None:
        if (bound := self._lower_bound(prompt)) > self._n_ctx:
            raise _does_not_fit(bound, self._n_ctx, exact=False)

    def _lower_bound(self, prompt: ChatPrompt | TextPrompt | TokenPrompt) -> int:
        """No token spells more than the longest one: a bound that costs nothing, whatever the size."""
        if isinstance(prompt, TokenPrompt):
            return len(prompt.tokens)
        if isinstance(prompt, TextPrompt):
            return len(prompt.text) // self._vocab.longest
        return sum(len(message.content) for message in prompt.messages) // self._vocab.longest


def _does_not_fit(needed: int, n_ctx: int, *, exact: bool) -> DoesNotFit:
    return DoesNotFit(
        f"the prompt takes {'' if exact else 'at least '}{needed} tokens, the context holds {n_ctx}",
        hint="Shorten it, raise [engine] context where the model allows it, or set up an API model.",
        n_prompt_tokens=needed,
        n_ctx=n_ctx,
    )
