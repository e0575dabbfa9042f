"""One request after the other, with the daemon's answers and the time in the test's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from lsprotocol import types as lsp

from ingle_daemon.errors import DaemonUnreachable, IngleError, NoModel
from ingle_daemon.protocol import CompletionRequest, Outcome
from ingle_lsp.completion.outcomes import Outcomes
from ingle_lsp.completion.status import Status, StatusBoard
from ingle_lsp.features.inline import Document, InlineCompletion
from ingle_lsp.settings import Gates, Settings

SETTINGS = Settings(debounce_ms=0)


class Desk:
    """The completion under test, and everything around it."""

    def __init__(self) -> None:
        self.answer: str | IngleError = ""
        self.asked: list[CompletionRequest] = []
        self.outcomes: list[Outcome] = []
        self.may_start: list[bool] = []
        self.told: list[str] = []
        self.now = 100.0
        self.power: dict[str, Any] = {}
        self.sent = asyncio.Event()
        outcomes = Outcomes(self._post, sleep=lambda _: asyncio.sleep(0))
        self.later = asyncio.Event()
        self.statuses: list[Status] = []
        self.inline = InlineCompletion(
            self.told.append,
            StatusBoard(self.statuses.append, ask=self._status),
            ask=self._answer,
            outcomes=outcomes,
            clock=lambda: self.now,
            sleep=lambda _: self.later.wait(),
        )

    async def _answer(self, request: CompletionRequest, autostart: bool) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(request)
        self.may_start.append(autostart)
        if isinstance(self.answer, IngleError):
            raise self.answer
        yield {"type": "delta", "text": self.answer}
        yield {"type": "done", "reason": "end"}

    async def _status(self) -> dict[str, Any]:
        return {"model": {"state": "ready", "info": {"name": "fir"}}, "power": self.power}

    async def _post(self, outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes
        self.sent.set()

    async def told_of(self, count: int) -> None:
        """Wait until so many outcomes were told."""
        while len(self.outcomes) < count:
            self.sent.clear()
            await self.sent.wait()

    async def complete(
        self, source: str, line: int, character: int, *, settings: Settings = SETTINGS, by_hand: bool = False
    ) -> list[lsp.InlineCompletionItem]:
        kind = lsp.InlineCompletionTriggerKind.Invoked if by_hand else lsp.InlineCompletionTriggerKind.Automatic
        params = lsp.InlineCompletionParams(
            context=lsp.InlineCompletionContext(kind),
            text_document=lsp.TextDocumentIdentifier("file:///a.py"),
            position=lsp.Position(line, character),
        )
        return await self.inline.items(Document("file:///a.py", source, "utf-16", "a.py", "app"), params, settings)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_files_name_and_text_are_asked_about(desk: Desk) -> None:
    await desk.complete("x = \ny", 0, 4)
    (body,) = desk.asked
    assert (body.filename, body.repo) == ("a.py", "app")
    assert (body.prefix, body.suffix) == ("x = ", "\ny")


async def test_a_cursor_past_the_end_of_its_line_is_completed_at_that_end(desk: Desk) -> None:
    desk.answer = "1"
    (item,) = await desk.complete("x = \n", 0, 99)
    assert item.range
    assert (item.insert_text, item.range.end.character) == ("x = 1", 4)


async def test_every_item_has_a_command_of_its_own(desk: Desk) -> None:
    desk.answer = "1"
    first, second = await desk.complete("x = ", 0, 4), await desk.complete("y = ", 0, 4)
    assert first[0].command
    assert second[0].command
    assert first[0].command.arguments != second[0].command.arguments


async def test_a_daemon_that_does_not_start_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.answer = DaemonUnreachable("cannot start ingled")
    for _ in range(4):
        assert await desk.complete("x = ", 0, 4) == []
    desk.now += 60
    assert await desk.complete("x = ", 0, 4) == []
    assert desk.may_start == [True, True, False, False, True]
    assert len(desk.told) == 1


async def test_an_answer_ends_the_trouble(desk: Desk) -> None:
    trouble = NoModel("no model is installed")
    for desk.answer in (trouble, "1", trouble):
        await desk.complete("x = ", 0, 4)
        desk.inline.close("file:///a.py")
    assert len(desk.told) == 2


@pytest.mark.parametrize(
    ("source", "character", "gate"),
    [
        ("value = other", 9, "mid_word"),
        ("value = other", 8, "mid_word"),
        ("f( + 1)", 2, "mid_line"),
        ("x = 1  # a note", 15, "comment"),
        ("", 0, "empty"),
    ],
)
async def test_a_gate_keeps_from_asking_unless_it_is_by_hand(
    desk: Desk, source: str, character: int, gate: str
) -> None:
    desk.answer = "1"
    assert await desk.complete(source, 0, character) == []
    assert desk.asked == []
    await desk.sent.wait()
    assert [(outcome.kind, outcome.by) for outcome in desk.outcomes] == [("skipped", gate)]
    await desk.complete(source, 0, character, by_hand=True)
    assert desk.asked


async def test_what_was_just_deleted_is_not_offered_again(desk: Desk) -> None:
    desk.answer = "1"
    await desk.complete("x = yes", 0, 7)
    assert await desk.complete("x = ye", 0, 6) == []
    assert len(desk.asked) == 1


async def test_a_gate_that_is_off_lets_it_pass(desk: Desk) -> None:
    desk.answer = "1"
    await desk.complete("", 0, 0, settings=Settings(debounce_ms=0, gates=Gates(empty=False)))
    assert len(desk.asked) == 1


async def test_an_unsure_completion_is_not_shown(desk: Desk) -> None:
    async def unsure(*_: object) -> AsyncGenerator[dict[str, Any], None]:
        yield {"type": "delta", "text": "1", "logprobs": [-3.0]}
        yield {"type": "done", "reason": "end"}

    desk.inline._ask = unsure
    assert await desk.complete("x = ", 0, 4, settings=Settings(debounce_ms=0, min_score=0.2)) == []
    await desk.sent.wait()
    assert [(outcome.kind, outcome.by) for outcome in desk.outcomes] == [("hidden", "score")]


async def test_what_follows_an_accepted_completion_is_ready(desk: Desk) -> None:
    desk.answer = "a + b"
    (item,) = await desk.complete("x = ", 0, 4)
    desk.answer = "\ny = 2"
    assert item.command
    assert item.command.arguments
    await desk.inline.accepted(str(item.command.arguments[0]), SETTINGS)
    assert [request.ahead for request in desk.asked] == [False, True]
    (following,) = await desk.complete("x = a + b", 0, 9)
    assert following.insert_text == "x = a + b\ny = 2"
    assert len(desk.asked) == 2
    await desk.told_of(3)
    assert [outcome.kind for outcome in desk.outcomes] == ["shown", "accepted", "shown"]


@pytest.mark.parametrize(("source", "fate"), [("x = a + b\n", "kept"), ("x = a - b\n", "changed")])
async def test_an_accepted_completion_is_looked_at_again(desk: Desk, source: str, fate: str) -> None:
    desk.answer = "a + b"
    (item,) = await desk.complete("x = ", 0, 4)
    assert item.command
    assert item.command.arguments
    await desk.inline.accepted(str(item.command.arguments[0]), SETTINGS)
    desk.answer = ""
    await desk.complete(source, 1, 0)
    desk.later.set()
    while desk.outcomes[-1].kind not in ("kept", "changed"):
        await desk.told_of(len(desk.outcomes) + 1)
    assert desk.outcomes[-1].kind == fate


async def test_typing_what_was_offered_rejects_nothing_where_the_editor_closes_it(desk: Desk) -> None:
    desk.answer = "(a)"
    await desk.complete("x = f", 0, 5)
    for typed, cursor in (("x = f()", 6), ("x = f(a)", 7)):
        await desk.complete(typed, 0, cursor)
    desk.answer = " + 1"
    await desk.complete("x = f(a)", 0, 8)
    await desk.told_of(2)
    assert [outcome.kind for outcome in desk.outcomes] == ["shown", "shown"]
    assert len(desk.asked) == 2


async def test_what_follows_is_made_for_the_text_without_the_replaced_closer(desk: Desk) -> None:
    desk.answer = "(a)"
    await desk.complete("x = f", 0, 5)
    (item,) = await desk.complete("x = f()", 0, 6)
    assert item.command
    assert item.command.arguments
    await desk.inline.accepted(str(item.command.arguments[0]), SETTINGS)
    assert (desk.asked[-1].prefix, desk.asked[-1].suffix) == ("x = f(a)", "")


async def test_typing_something_else_rejects_what_was_offered(desk: Desk) -> None:
    desk.answer = "a + b"
    await desk.complete("x = ", 0, 4)
    await desk.complete("x = a", 0, 5)
    await desk.complete("x = ay", 0, 6)
    await desk.told_of(3)
    assert [outcome.kind for outcome in desk.outcomes] == ["shown", "rejected", "shown"]


async def test_on_battery_nothing_is_made_ahead_and_a_pause_in_typing_is_longer(desk: Desk) -> None:
    usual = desk.inline._typing_pause
    desk.power = {"saving": True}
    desk.answer = "a + b"
    (item,) = await desk.complete("x = ", 0, 4)
    await desk.inline._status.begin()
    assert desk.inline._typing_pause > 2 * usual
    assert item.command
    assert item.command.arguments
    await desk.inline.accepted(str(item.command.arguments[0]), SETTINGS)
    assert [request.ahead for request in desk.asked] == [False]
    desk.power = {"saving": False}
    await desk.inline._status.begin()
    assert desk.inline._typing_pause < 2 * usual


class SlowDesk(Desk):
    """Answers piece by piece, as far as the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self.read = asyncio.Event()
        self.closed = asyncio.Event()

    async def _answer(self, request: CompletionRequest, autostart: bool) -> AsyncGenerator[dict[str, Any], None]:
        self.asked.append(request)
        try:
            while (piece := await self.pieces.get()) is not None:
                yield {"type": "delta", "text": piece}
                self.read.set()
            yield {"type": "done", "reason": "end"}
        finally:
            self.closed.set()


async def test_typing_what_is_being_written_joins_it() -> None:
    desk = SlowDesk()
    first = asyncio.create_task(desk.complete("x = ", 0, 4))
    desk.pieces.put_nowait("al")
    await desk.read.wait()
    first.cancel()  # as editors do at the next key
    second = asyncio.create_task(desk.complete("x = a", 0, 5))
    desk.pieces.put_nowait("pha")
    desk.pieces.put_nowait(None)
    (item,) = await second
    assert item.insert_text == "x = alpha"
    assert len(desk.asked) == 1


async def test_what_the_editor_closes_by_itself_does_not_end_what_is_being_written() -> None:
    desk = SlowDesk()
    first = asyncio.create_task(desk.complete("x = f\n", 0, 5))
    desk.pieces.put_nowait("(a")
    await desk.read.wait()
    first.cancel()
    second = asyncio.create_task(desk.complete("x = f()\n", 0, 6))
    desk.pieces.put_nowait(") + 1")
    desk.pieces.put_nowait(None)
    (item,) = await second
    assert item.insert_text == "x = f(a) + 1"
    assert item.range == lsp.Range(lsp.Position(0, 0), lsp.Position(0, 7))
    assert len(desk.asked) == 1


async def test_typing_something_else_ends_what_is_being_written() -> None:
    desk = SlowDesk()
    first = asyncio.create_task(desk.complete("x = ", 0, 4))
    desk.pieces.put_nowait("al")
    await desk.read.wait()
    second = asyncio.create_task(desk.complete("x = b", 0, 5))
    assert await first == []
    await desk.closed.wait()
    desk.pieces.put_nowait("eta")
    desk.pieces.put_nowait(None)
    (item,) = await second
    assert item.insert_text == "x = beta"
    assert len(desk.asked) == 2


async def test_a_request_that_was_cancelled_is_ended_soon() -> None:
    desk = SlowDesk()
    first = asyncio.create_task(desk.complete("x = ", 0, 4))
    desk.pieces.put_nowait("al")
    await desk.read.wait()
    first.cancel()
    await asyncio.wait_for(desk.closed.wait(), 5)
