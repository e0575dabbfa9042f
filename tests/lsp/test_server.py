"""The real process, the real daemon, the scripted backend: what an editor gets."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

import ingle_daemon
import support
from lsp.editor import SERVER, URI, Editor, started, until_busy, until_idle

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADD = "(a, b):\n    return a + b"
RULES = [
    {"kind": "infill", "match": r"def add\Z", "answer": ADD},
    {"kind": "infill", "match": r"SLOW\Z", "answer": "never", "delay_ms": 60_000},
    {"kind": "infill", "match": r'"é😋世" \Z', "answer": "== y"},
    {"kind": "infill", "match": r"\Aone\fstill one\ntwo\r\nthree\rhere\Z", "answer": " it is"},
    {"kind": "infill", "match": r"def add\(a, b\):\r\n\Z", "answer": "    a\r\n    b\r\n"},
    {"kind": "infill", "match": r"os\.path\Z", "answer": ".join(a)"},
]
AUTOMATIC = lsp.InlineCompletionTriggerKind.Automatic


@pytest.fixture(scope="module")
def scripted() -> Iterator[support.Instance]:
    instance = support.new_instance()
    instance.script(rules=RULES)
    instance.start()
    yield instance
    instance.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(scripted: support.Instance) -> AsyncIterator[Editor]:
    async with started(scripted.env) as editor:
        yield editor


# --- what an editor is offered -------------------------------------------------------------------------------------


async def test_inline_completion_is_advertised(editor: Editor) -> None:
    assert editor.answer
    capabilities = editor.answer.capabilities
    assert capabilities.inline_completion_provider
    assert capabilities.execute_command_provider
    assert all(name.startswith("ingle.") for name in capabilities.execute_command_provider.commands)


async def test_an_item_replaces_the_line_up_to_the_cursor_by_all_of_it(editor: Editor) -> None:
    editor.open("import os\n\n  def add\n")
    (item,) = await editor.complete(2, 9)
    assert item.insert_text == item.filter_text == f"  def add{ADD}"
    assert item.range == lsp.Range(lsp.Position(2, 0), lsp.Position(2, 9))


async def test_the_items_command_is_answered(editor: Editor) -> None:
    editor.open("def add")
    (item,) = await editor.complete(0, 7)
    assert item.command
    assert item.command.command == "ingle.accepted"
    await editor.client.workspace_execute_command_async(
        lsp.ExecuteCommandParams(command=item.command.command, arguments=item.command.arguments)
    )


async def test_where_the_model_says_nothing_nothing_is_offered(editor: Editor) -> None:
    editor.open("nothing to say")
    assert await editor.complete(0, 14) == []


async def test_a_document_that_is_not_open_gets_nothing(editor: Editor) -> None:
    assert await editor.complete(0, 0, uri="file:///not/open.py") == []


async def test_typing_what_is_offered_asks_nobody(editor: Editor) -> None:
    editor.open("def add")
    assert await editor.complete(0, 7)
    editor.type(0, 7, "(a, ")  # no rule of the script knows this
    assert await editor.texts(0, 11, kind=AUTOMATIC) == [f"def add{ADD}"]
    editor.type(0, 11, "x")
    assert await editor.complete(0, 12) == []


@pytest.mark.parametrize(
    ("before", "closers", "end"),
    [("def add(", ")", 9), ("def add(a", ")", 10), ("def add(a, b)", "", 13)],
    ids=["opened", "typed on", "typed over"],
)
async def test_what_the_editor_closes_by_itself_is_replaced(
    editor: Editor, before: str, closers: str, end: int
) -> None:
    editor.open("def add\n")
    assert await editor.complete(0, 7)
    editor.type(0, 7, before.removeprefix("def add") + closers)  # no rule of the script knows this
    (item,) = await editor.complete(0, len(before), kind=AUTOMATIC)
    assert item.insert_text == item.filter_text == f"def add{ADD}"
    assert item.range == lsp.Range(lsp.Position(0, 0), lsp.Position(0, end))


async def test_a_closer_that_was_there_before_stays(editor: Editor) -> None:
    editor.open("(def add)\n")
    assert await editor.complete(0, 8)
    editor.type(0, 8, "()")
    (item,) = await editor.complete(0, 9, kind=AUTOMATIC)
    assert item.range == lsp.Range(lsp.Position(0, 0), lsp.Position(0, 10))


async def test_the_entry_selected_in_the_menu_is_completed(editor: Editor) -> None:
    editor.open("x = os.pa")
    selected = lsp.SelectedCompletionInfo(lsp.Range(lsp.Position(0, 7), lsp.Position(0, 9)), "path")
    (item,) = await editor.complete(0, 9, selected=selected)
    assert item.insert_text == "x = os.path.join(a)"
    assert item.range == lsp.Range(lsp.Position(0, 0), lsp.Position(0, 9))


# --- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "insert", "ask"), [("utf-8", 15, 20), ("utf-16", 12, 15), ("utf-32", 11, 14)])
async def test_each_position_encoding_is_spoken(
    scripted: support.Instance, encoding: str, insert: int, ask: int
) -> None:
    async with started(scripted.env, encoding=encoding) as editor:
        assert editor.answer
        assert editor.answer.capabilities.position_encoding == encoding
        editor.open('a\nif x == "é😋" :\n')
        editor.type(1, insert, "世")
        (item,) = await editor.complete(1, ask)
        assert item.insert_text == 'if x == "é😋世" == y'
        assert item.range
        assert item.range.end == lsp.Position(1, ask)


async def test_lines_end_where_lsp_says_in_edits_too(editor: Editor) -> None:
    editor.open("one\fstill one\ntwo\r\nthree\r")
    editor.type(3, 0, "here")
    assert await editor.texts(3, 4) == ["here it is"]


async def test_a_crlf_document_is_completed_with_line_feeds(editor: Editor) -> None:
    editor.open("def add(a, b):\r\n")
    assert await editor.texts(1, 0) == ["    a\n    b"]


# --- cancelling and superseding ------------------------------------------------------------------------------------


async def test_cancelling_frees_the_engine(scripted: support.Instance, editor: Editor) -> None:
    editor.open("SLOW")
    asked = editor.ask(0, 4)
    await until_busy(scripted)
    editor.cancel(asked)
    with pytest.raises(JsonRpcException) as caught:
        await asked.items()
    assert caught.value.code == lsp.LSPErrorCodes.RequestCancelled
    await until_idle(scripted)


async def test_a_newer_request_of_the_document_ends_the_older(scripted: support.Instance, editor: Editor) -> None:
    editor.open("SLOW\ndef add")
    older = editor.ask(0, 4)
    await until_busy(scripted)
    assert await editor.texts(1, 7) == [f"def add{ADD}"]
    assert await older.items() == []
    await until_idle(scripted)


async def test_another_document_is_left_alone(scripted: support.Instance, editor: Editor) -> None:
    editor.open("SLOW")
    editor.open("def add", uri="file:///code/app/other.py")
    slow = editor.ask(0, 4)
    await until_busy(scripted)
    assert await editor.complete(0, 7, uri="file:///code/app/other.py")
    assert not slow.result.done()
    editor.open("")  # closes it first
    assert await slow.items() == []


async def test_typing_waits_and_asking_does_not(scripted: support.Instance) -> None:
    async with started(scripted.env, options={"debounceMs": 60_000}) as editor:
        editor.open("def add")
        waiting = editor.ask(0, 7, kind=AUTOMATIC)
        assert await editor.texts(0, 7) == [f"def add{ADD}"]
        assert await waiting.items() == []


@pytest.mark.parametrize("kind", [0, 3, "automatic", None])
async def test_an_unknown_trigger_kind_is_answered(editor: Editor, kind: object) -> None:
    editor.open("def add")
    params = {
        "textDocument": {"uri": URI},
        "position": {"line": 0, "character": 7},
        "context": {"triggerKind": kind},
    }
    answer = await editor.send("textDocument/inlineCompletion", params)
    assert answer.items[0].insert_text == f"def add{ADD}"


# --- settings ------------------------------------------------------------------------------------------------------


async def test_bad_settings_are_shown_and_the_defaults_used(scripted: support.Instance) -> None:
    async with started(scripted.env, options={"maxTokens": "lots"}) as editor:
        editor.open("def add")
        assert await editor.complete(0, 7)
        (message,) = editor.shown
        assert "maxTokens" in message


async def test_settings_may_change(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.client.workspace_did_change_configuration(
            lsp.DidChangeConfigurationParams({"ingle": {"maxTokens": 2}, "other": 1})
        )
        editor.open("def add")
        assert await editor.texts(0, 7) == ["def add(a"]
        assert editor.shown == []


# --- the process ---------------------------------------------------------------------------------------------------


async def test_it_stays_small(editor: Editor) -> None:
    editor.open("x = 1\n" * 20_000)
    await editor.complete(19_999, 5)
    assert psutil.Process(editor.pid).memory_info().rss <= 60 * 1024 * 1024


async def test_it_ends_when_the_editor_is_gone(scripted: support.Instance) -> None:
    done = scripted.run(*SERVER, input="", timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_it_ends_on_sigterm(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        process = editor.client._server
        assert process
        editor.client._stop_event.set()  # the end is expected
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == -signal.SIGTERM
        editor.client.capabilities = None  # nobody is left to shut down


async def test_the_version_is_the_products(scripted: support.Instance) -> None:
    assert scripted.run(*SERVER[:3], "--version").stdout == f"ingle-lsp {ingle_daemon.__version__}\n"


async def test_it_loads_neither_the_engine_nor_the_daemon(scripted: support.Instance) -> None:
    code = "import sys, ingle_lsp.server, ingle_lsp.language_server; print(*sys.modules)"
    loaded = set(scripted.run(sys.executable, "-c", code).stdout.split())
    ours = {name.split(".")[1] for name in loaded if name.startswith("ingle_daemon.")}
    assert {"client", "errors"} <= ours <= {"client", "errors", "launch", "paths", "protocol"}
    assert not {"llama_cpp", "pynvml", "numpy", "starlette"} & loaded
