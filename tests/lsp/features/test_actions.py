"""Code actions through the real server and the real daemon with a script: listed, asked, offered, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio
from lsprotocol import types as lsp

import support
from lsp.editor import URI, Editor, started, until_busy, until_idle


@attrs.define
class Actions:
    """The answer as it is meant: lsprotocol takes every action for a command."""

    id: str
    jsonrpc: str
    result: list[lsp.CodeAction]


pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = [
    {"kind": "chat", "match": "problem is gone[^`]*undefined", "answer": "```python\n    return values\n```"},
    {"kind": "chat", "match": "documentation comment", "answer": '```\ndef é(a):\n    """Say."""\n    return a\n```'},
    {"kind": "chat", "match": "Explain", "answer": "It adds \x1b[31mtwo\x1b[0m numbers."},
    {"kind": "chat", "match": "unit test", "answer": "```python\ndef test_it():\n    assert True\n```"},
    {"kind": "chat", "match": "SLOW", "answer": "never", "delay_ms": 60_000},
    {"kind": "chat", "match": "LATER", "answer": "x = 2", "delay_ms": 1_000},
    {"kind": "chat", "match": "BROKEN", "answer": "x", "error": "engine_lost"},
    {"kind": "chat", "match": "", "answer": "```\nx = 2\n```"},
]
SOURCE = "def é(a):\n    return valuse\n"


@pytest.fixture(scope="module")
def scripted() -> Iterator[support.Instance]:
    instance = support.new_instance()
    instance.script(rules=RULES)
    instance.start()
    yield instance
    instance.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(scripted: support.Instance) -> AsyncIterator[Editor]:
    async with started(scripted.env, able=True) as editor:
        yield editor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain_editor(scripted: support.Instance) -> AsyncIterator[Editor]:
    async with started(scripted.env) as editor:
        yield editor


def span(*numbers: int) -> lsp.Range:
    return lsp.Range(lsp.Position(numbers[0], numbers[1]), lsp.Position(numbers[2], numbers[3]))


async def actions(editor: Editor, where: lsp.Range, *diagnostics: lsp.Diagnostic) -> dict[str, lsp.CodeAction]:
    converter = editor.client.protocol._converter
    params = lsp.CodeActionParams(
        lsp.TextDocumentIdentifier(URI), where, lsp.CodeActionContext(diagnostics=list(diagnostics))
    )
    found = await editor.send("textDocument/codeAction", converter.unstructure(params), Actions)
    return {action.title: action for action in found}


async def run(editor: Editor, action: lsp.CodeAction) -> None:
    assert action.command
    await editor.client.workspace_execute_command_async(
        lsp.ExecuteCommandParams(command=action.command.command, arguments=action.command.arguments)
    )


async def test_what_is_listed_depends_on_the_place(editor: Editor) -> None:
    editor.open(SOURCE)
    assert list(await actions(editor, span(1, 4, 1, 4))) == []
    assert list(await actions(editor, span(0, 0, 1, 4))) == [
        "ingle: Explain this",
        "ingle: Write a docstring",
        "ingle: Write a test",
    ]
    problem = lsp.Diagnostic(span(1, 11, 1, 17), "undefined name 'valuse'")
    (fix,) = (await actions(editor, span(1, 12, 1, 12), problem)).values()
    assert fix.title == "ingle: Fix: undefined name 'valuse'"
    assert fix.kind == lsp.CodeActionKind.QuickFix


async def test_a_fix_is_an_edit_to_be_confirmed(editor: Editor) -> None:
    editor.open(SOURCE)
    problem = lsp.Diagnostic(span(1, 11, 1, 17), "undefined name 'valuse'")
    (fix,) = (await actions(editor, span(1, 12, 1, 12), problem)).values()
    await run(editor, fix)
    (edit,) = editor.offered()
    (change,) = edit.document_changes or []
    assert isinstance(change, lsp.TextDocumentEdit)
    assert change.text_document.version == 1
    (text,) = change.edits
    assert isinstance(text, lsp.AnnotatedTextEdit)
    assert (text.new_text, text.range) == ("    return values", span(1, 0, 1, 17))
    assert edit.change_annotations
    assert edit.change_annotations["ingle"].needs_confirmation


async def test_an_editor_that_can_little_gets_a_plain_edit(plain_editor: Editor) -> None:
    plain_editor.open("def é(a):\n    return a\n")
    await run(plain_editor, (await actions(plain_editor, span(0, 0, 1, 12)))["ingle: Write a docstring"])
    (edit,) = plain_editor.offered()
    assert edit.changes == {URI: (lsp.TextEdit(span(0, 0, 1, 12), 'def é(a):\n    """Say."""\n    return a'),)}


async def test_an_explanation_is_shown_without_escapes(editor: Editor) -> None:
    editor.open(SOURCE)
    await run(editor, (await actions(editor, span(0, 0, 1, 4)))["ingle: Explain this"])
    assert editor.shown[-1] == "It adds two numbers."


async def test_a_test_is_a_new_file(editor: Editor) -> None:
    editor.open(SOURCE)
    await run(editor, (await actions(editor, span(0, 0, 1, 4)))["ingle: Write a test"])
    (edit,) = editor.offered()
    created, _ = edit.document_changes or []
    assert isinstance(created, lsp.CreateFile)
    assert created.uri == "file:///code/app/lib/test_x.py"


async def act(editor: Editor, words: str) -> Any:
    return await editor.client.workspace_execute_command_async(
        lsp.ExecuteCommandParams(command="ingle.act", arguments=["edit", URI, [0, 0, 0, 5], words])
    )


async def test_an_instruction_edits_the_selection(editor: Editor) -> None:
    editor.open("x = 1\n")
    await act(editor, "make it two")
    (edit,) = editor.offered()
    assert "x = 2" in str(edit)


async def test_a_failure_is_told_and_nothing_is_changed(editor: Editor) -> None:
    editor.open("x = 1\n")
    await act(editor, "BROKEN")
    assert "engine_lost" in editor.shown[-1]
    assert editor.offered() == []


async def test_code_that_changed_meanwhile_is_left_alone(editor: Editor, scripted: support.Instance) -> None:
    editor.open("x = 1\n")
    acting = asyncio.create_task(act(editor, "LATER"))
    await until_busy(scripted)
    editor.type(0, 4, "9")
    await acting
    assert editor.offered() == []
    assert "changed meanwhile" in editor.shown[-1]


async def test_cancelling_the_progress_ends_the_request(editor: Editor, scripted: support.Instance) -> None:
    editor.open("x = 1\n")
    acting = asyncio.create_task(act(editor, "SLOW"))
    await until_busy(scripted)
    token = list(editor.client.progress_reports)[-1]
    editor.client.window_work_done_progress_cancel(lsp.WorkDoneProgressCancelParams(token))
    await acting
    await until_idle(scripted)
    assert editor.offered() == []


async def test_nonsense_is_refused_in_words(editor: Editor) -> None:
    editor.open("\n")
    await act(editor, "x")
    assert "select some code" in editor.shown[-1]


async def test_code_of_a_private_file_stays_here(tmp_path: Path) -> None:
    """The daemon is told which file it is about, and decides."""
    instance = support.new_instance()
    instance.script(rules=RULES)
    instance.configure('[api]\nurl = "http://127.0.0.1:9/v1"\nmodel = "far"\nallow = true\n[tasks]\nexplain = "api"\n')
    (tmp_path / ".ingle.toml").write_text("offline = true\n")
    uri = (tmp_path / "a.py").as_uri()
    try:
        async with started(instance.env, able=True) as editor:
            editor.open(SOURCE, uri)
            await editor.command("ingle.act", "explain", uri, [0, 0, 1, 4], "")
            assert editor.shown[-1] == "It adds two numbers."
    finally:
        instance.close()
