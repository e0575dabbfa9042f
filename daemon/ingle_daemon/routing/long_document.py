"""Answers a question about a document that does not fit: notes on each part, then an answer from the notes.

Everything is read on the engine that it is given, nowhere else. The parts' prompts share everything but the part at
their end, so that the KV cache keeps the rest; the parts that have most to do with the question are read where there
are too many. What was done is said. This module does not decide when a document is read so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import DoesNotFit
from ingle_daemon.protocol import (
    ChatMessage,
    ChatPrompt,
    Delta,
    Done,
    GenerateRequest,
    Limits,
    ModelInfo,
    Reading,
    Sampling,
    Started,
    Timings,
)
from ingle_daemon.routing.gate import fits
from ingle_daemon.routing.parts import cut, halves, most_like, question_in

__all__ = ["MOST_PARTS", "LongDocument"]

MOST_PARTS = 16
"""Read of one document."""
_LONGEST_PART = 6_000
"""Characters. Evaluating a token costs more the more stand before it: several short parts are read sooner than one that
fills the context."""
_NOTE_TOKENS = 160
_CHARACTERS_A_TOKEN = 3
"""A first guess, on the safe side for prose and code; what does not fit after all is halved."""
_SUMMARY = "Summarize it: what it is, and what matters in it."
_TAKE_NOTES = (
    "You read one part of a long document. Note what helps with this task, in short sentences with exact names and"
    " numbers. If nothing in this part helps, write: nothing.\n\nTask: {question}\n\nPart:\n"
)
_ANSWER = (
    "These are notes on the parts of a long document, in order. Use them, and nothing else, for this task.\n\n"
    "Task: {question}\n\nNotes:\n"
)


class _Piece(NamedTuple):
    """What is read at once, and how many tokens its prompt has."""

    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class LongDocument:
    """One reading of one document on `engine`. `clock` counts seconds."""

    engine: Backend
    messages: tuple[ChatMessage, ...]
    reserved: int
    sampling: Sampling
    clock: Callable[[], float] = time.monotonic

    async def answer(self) -> AsyncGenerator[Reading | Started | Delta | Done, None]:
        """Reading for every part, Started, Delta …, Done with the cost of all of it.

        Raises DoesNotFit when what stands around the document is too large by itself.
        """
        document, question = question_in(self.messages[-1].content)
        question = question or _SUMMARY
        info = await self.engine.info()
        most = (info.n_ctx - _NOTE_TOKENS) * _CHARACTERS_A_TOKEN // 2
        parts = cut(document, max(min(most, _LONGEST_PART), 1))
        chosen = await asyncio.to_thread(most_like, question, parts, MOST_PARTS)  # a second, for 50 MB
        notes: list[str] = []
        spent: list[Timings] = []
        began, read, unread = self.clock(), 0, sum(len(parts[at]) for at in chosen)
        for number, at in enumerate(chosen, 1):
            pieces = await self._fitting_pieces(parts[at], question, info.n_ctx)
            a_character = (self.clock() - began) / read if read else _guess(pieces, info)
            yield Reading(number, len(chosen), len(parts), a_character and a_character * unread)
            for piece in pieces:
                note, timings = await self._note(piece.text, question)
                spent.append(timings)
                if note:
                    notes.append(f"[part {at + 1}] {note}")
            read, unread = read + len(parts[at]), unread - len(parts[at])
        async for event in self._conclude(await self._fitting(notes, question, spent), question, spent):
            yield event

    async def _fitting_pieces(self, part: str, question: str, n_ctx: int) -> list[_Piece]:
        """The part, or pieces of it, whose prompts fit: each is counted exactly."""
        waiting = [part]
        pieces: list[_Piece] = []
        while waiting:
            piece = waiting.pop(0)
            if fits(fit := await self.engine.fit(self._prompt(_TAKE_NOTES, question, piece), _NOTE_TOKENS)):
                pieces.append(_Piece(piece, fit.prompt_tokens))
            elif len(piece) < 2:
                raise DoesNotFit(
                    f"the question itself takes {fit.prompt_tokens:,} tokens, and the local context holds {n_ctx:,}",
                    hint="Shorten the question.",
                    n_prompt_tokens=fit.prompt_tokens,
                    n_ctx=n_ctx,
                )
            else:
                waiting = [*halves(piece), *waiting]
        return pieces

    async def _note(self, part: str, question: str) -> tuple[str, Timings]:
        """What a part has to say to the question, "" for nothing."""
        pieces, timings = [], Timings()
        async with aclosing(self._generate(self._prompt(_TAKE_NOTES, question, part), _NOTE_TOKENS)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    pieces.append(event.text)
                elif isinstance(event, Done):
                    timings = event.timings
        note = "".join(pieces).strip()
        return ("" if note.lower().rstrip(".") == "nothing" else note), timings

    async def _fitting(self, notes: list[str], question: str, spent: list[Timings]) -> list[str]:
        """The notes, noted again two by two for as long as they are too many for one prompt."""
        while len(notes) > 1 and not fits(await self.engine.fit(self._answering(notes, question), self.reserved)):
            pairs = ["\n".join(notes[at : at + 2]) for at in range(0, len(notes), 2)]
            shorter = []
            for pair in pairs:
                note, timings = await self._note(pair, question)
                spent.append(timings)
                shorter.append(note)
            notes = [note for note in shorter if note]
        return notes

    async def _conclude(
        self, notes: list[str], question: str, spent: list[Timings]
    ) -> AsyncGenerator[Started | Delta | Done, None]:
        async with aclosing(self._generate(self._answering(notes, question), self.reserved)) as events:
            async for event in events:
                if isinstance(event, Done):
                    yield msgspec.structs.replace(event, timings=_sum([*spent, event.timings]))
                else:
                    yield event

    def _answering(self, notes: list[str], question: str) -> ChatPrompt:
        return self._prompt(_ANSWER, question, "\n".join(notes) or "(no part had anything to say)")

    def _prompt(self, instruction: str, question: str, text: str) -> ChatPrompt:
        """The system message, if there is one, and nothing of the conversation so far."""
        system = tuple(message for message in self.messages[:1] if message.role == "system")
        return ChatPrompt((*system, ChatMessage("user", instruction.format(question=question) + text)))

    def _generate(self, prompt: ChatPrompt, most: int) -> AsyncGenerator[Started | Delta | Done, None]:
        return self.engine.generate(GenerateRequest(prompt, sampling=self.sampling, limits=Limits(max_tokens=most)))


def _guess(pieces: Sequence[_Piece], info: ModelInfo) -> float | None:
    """Seconds a character before anything was read, notes included; None where the engine's speed is not known."""
    if not info.prefill_rate or not info.decode_rate:
        return None
    read = sum(piece.tokens for piece in pieces) / info.prefill_rate
    noted = len(pieces) * _NOTE_TOKENS / info.decode_rate
    return (read + noted) / sum(len(piece.text) for piece in pieces)


def _sum(spent: Sequence[Timings]) -> Timings:
    totals = {name: sum(getattr(one, name) for one in spent) for name in Timings.__struct_fields__}
    return Timings(**totals)
