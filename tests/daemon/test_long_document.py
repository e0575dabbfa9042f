"""Documents that do not fit: how they are cut, which parts are read, and what is made of the notes."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.backends.scripted import Rule, Script, ScriptedBackend
from ingle_daemon.errors import DoesNotFit
from ingle_daemon.protocol import (
    ChatMessage,
    ChatPrompt,
    Delta,
    Done,
    GenerateRequest,
    ModelInfo,
    Reading,
    Sampling,
    Started,
)
from ingle_daemon.routing.long_document import MOST_PARTS, LongDocument
from ingle_daemon.routing.parts import cut, halves, most_like, question_in


@given(st.text(max_size=400), st.integers(1, 60))
def test_the_parts_are_the_whole_text(text: str, characters: int) -> None:
    parts = cut(text, characters)
    assert "".join(parts) == text
    assert all(0 < len(part) <= characters for part in parts)


@given(st.text(min_size=2))
def test_halves_are_smaller(text: str) -> None:
    assert "".join(halves(text)) == text
    assert all(len(half) < len(text) for half in halves(text))


def test_parts_end_where_lines_do() -> None:
    assert cut("one\ntwo\nthree\n", 9) == ["one\ntwo\n", "three\n"]


@pytest.mark.parametrize(
    ("text", "document", "question"),
    [
        ("log line\nlog line\n\nWhy?\n", "log line\nlog line", "Why?"),
        ("only one paragraph", "only one paragraph", ""),
        ("a\n\n" + "b" * 3000, "a\n\n" + "b" * 3000, ""),
        ("a\n\nb\n\nWhat is b?", "a\n\nb", "What is b?"),
    ],
)
def test_the_question_is_the_last_paragraph(text: str, document: str, question: str) -> None:
    assert question_in(text) == (document, question)


def test_the_parts_that_share_words_with_the_question_come_before_the_others() -> None:
    parts = ["about cats", "the tariff changed", "about dogs", "tariffs and the tariff board"]
    assert most_like("Which tariffs apply?", parts, 2) == [1, 3]
    assert most_like("Which tariffs apply?", parts, 3) == [0, 1, 3]
    assert most_like("?!", parts, 2) == [0, 1]
    assert most_like('a "quoted" AND (odd OR', parts, 4) == [0, 1, 2, 3]


class Recording(ScriptedBackend):
    """A scripted engine that keeps what it was asked."""

    prompts: list[str]
    rates = (0.0, 0.0)

    async def info(self) -> ModelInfo:
        prefill, decode = self.rates
        return msgspec.structs.replace(await super().info(), prefill_rate=prefill, decode_rate=decode)

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        assert isinstance(request.prompt, ChatPrompt)
        self.prompts = [*getattr(self, "prompts", []), request.prompt.messages[-1].content]
        return super().generate(request)


def engine(context: int = 400) -> Recording:
    """Notes what a part says of a code; a part without one has nothing to say."""
    return Recording(
        Script(
            context=context,
            rules=(
                Rule("chat", r"^These are notes", "the code is 7421"),
                Rule("chat", r"Part:\n[^$]*code is 7421", "the code is 7421"),
                Rule("chat", r"Part:\n", "Nothing."),
            ),
        )
    )


async def read(
    on: Recording, document: str, question: str, clock: Callable[[], float] = lambda: 0.0
) -> tuple[str, list[Reading], Done]:
    messages = (ChatMessage("system", "Be brief."), ChatMessage("user", f"{document}\n\n{question}"))
    text, readings, done = "", [], None
    async for event in LongDocument(on, messages, 64, Sampling(temperature=0), clock).answer():
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Reading):
            readings.append(event)
        elif isinstance(event, Done):
            done = event
    assert done
    return text, readings, done


async def test_a_fact_in_one_of_many_parts_is_found() -> None:
    on = engine()
    lines = [f"line {number} says little\n" for number in range(300)]
    lines[217] = "the code is 7421\n"
    text, readings, done = await read(on, "".join(lines), "What is the code?")
    assert text == "the code is 7421"
    assert [reading.part for reading in readings] == list(range(1, len(readings) + 1))
    assert 4 < len(readings) <= MOST_PARTS
    assert "the code is 7421" in on.prompts[-1]
    assert on.prompts[-1].count("[part ") == 1, "parts with nothing to say are not in the notes"
    assert done.timings.prompt_n > 1000, "the cost is that of all parts"


async def test_all_of_the_document_is_read_and_only_the_parts_differ() -> None:
    on = engine()
    document = "".join(f"word{number} " * 8 + "\n" for number in range(60))
    await read(on, document, "What is it about?")
    heads = {prompt.partition("Part:\n")[0] for prompt in on.prompts[:-1]}
    assert len(heads) == 1
    assert "".join(prompt.partition("Part:\n")[2] for prompt in on.prompts[:-1]).strip() == document.strip()


async def test_of_too_many_parts_those_like_the_question_are_read_and_it_is_said() -> None:
    on = engine()
    lines = [f"line {number} of the log says little\n" for number in range(3000)]
    lines[2900] = "the code is 7421\n"
    text, readings, _ = await read(on, "".join(lines), "What is the code?")
    assert text == "the code is 7421"
    assert readings[0].parts == len(readings) == MOST_PARTS
    assert readings[0].of > MOST_PARTS


async def test_how_long_it_takes_is_told_by_the_engines_speed_then_by_what_the_parts_took() -> None:
    on = engine()
    on.rates = (10.0, 16.0)
    ticks = itertools.count(step=7.0)  # as this clock has it, every part takes seven seconds
    _, readings, _ = await read(on, "line of text\n" * 150, "Why?", lambda: next(ticks))
    first, *others = (reading.left_s for reading in readings if reading.left_s is not None)
    assert len(others) == len(readings) - 1
    prompts = [ChatPrompt((ChatMessage("user", prompt),)) for prompt in on.prompts[:-1]]
    tokens = [(await on.fit(prompt, 0)).prompt_tokens for prompt in prompts]
    assert first == pytest.approx(sum(tokens) / 10 + len(tokens) * 160 / 16, rel=0.1)
    assert [before - after for before, after in itertools.pairwise(others)] == pytest.approx([7.0] * (len(others) - 1))
    assert 0 < others[-1] < 7, "the last part is shorter"


async def test_of_an_engine_that_nobody_measured_the_first_part_tells_how_long_it_takes() -> None:
    ticks = itertools.count(step=7.0)
    _, readings, _ = await read(engine(), "line of text\n" * 150, "Why?", lambda: next(ticks))
    assert [reading.left_s is None for reading in readings] == [True, *[False] * (len(readings) - 1)]


async def test_too_many_notes_are_noted_again() -> None:
    on = Recording(
        Script(
            context=400,
            rules=(Rule("chat", "^These are notes", "done"), Rule("chat", r"Part:\n", "word " * 60)),
        )
    )
    text, readings, _ = await read(on, "some line of text\n" * 400, "What?")
    assert text == "done"
    assert len(on.prompts) > len(readings) + 1
    assert re.search(r"Part:\n\[part \d", "".join(on.prompts))


async def test_a_question_that_is_too_large_by_itself_is_refused_with_the_numbers() -> None:
    with pytest.raises(DoesNotFit, match="question itself takes"):
        await read(engine(context=200), "a line\n" * 100, "why " * 400)
