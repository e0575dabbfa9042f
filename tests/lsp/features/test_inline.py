"""One request after the other, with the daemon's answers and the time in the test's hand."""

from __future__ import annotations

import pytest
from lsprotocol import types as lsp

from ingle_daemon.errors import DaemonUnreachable, IngleError, NoModel
from ingle_lsp.features.inline import Document, InlineCompletion
from ingle_lsp.settings import Settings

SETTINGS = Settings(debounce_ms=0)


class Desk:
    """The completion under test, and everything around it."""

    def __init__(self) -> None:
        self.answer: str | IngleError = ""
        self.asked: list[dict[str, object]] = []
        self.may_start: list[bool] = []
        self.told: list[str] = []
        self.now = 100.0
        self.inline = InlineCompletion(self.told.append, fill=self._fill, clock=lambda: self.now)

    async def _fill(self, body: dict[str, object], *, autostart: bool) -> str:
        self.asked.append(body)
        self.may_start.append(autostart)
        if isinstance(self.answer, IngleError):
            raise self.answer
        return self.answer

    async def complete(self, source: str, line: int, character: int) -> list[lsp.InlineCompletionItem]:
        params = lsp.InlineCompletionParams(
            context=lsp.InlineCompletionContext(lsp.InlineCompletionTriggerKind.Automatic),
            text_document=lsp.TextDocumentIdentifier("file:///a.py"),
            position=lsp.Position(line, character),
        )
        return await self.inline.items(Document("file:///a.py", source, "utf-16", "a.py", "app"), params, SETTINGS)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_files_name_and_text_are_asked_about(desk: Desk) -> None:
    await desk.complete("x = \ny", 0, 4)
    (body,) = desk.asked
    assert (body["filename"], body["repo"]) == ("a.py", "app")
    assert (body["input_prefix"], body["input_suffix"]) == ("x = ", "\ny")


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
