"""Completions in the completion menu, for editors without ghost text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsprotocol import types as lsp

import support
from lsp.editor import URI, Editor, started


@pytest.fixture
def scripted() -> Iterator[support.Instance]:
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": r"def ad\Z", "answer": "d(a, b):\n    return a + b"}])
    instance.start()
    yield instance
    instance.close()


async def items(editor: Editor) -> list[lsp.CompletionItem]:
    editor.open("x\ndef ad")
    found = await editor.client.text_document_completion_async(
        lsp.CompletionParams(lsp.TextDocumentIdentifier(URI), lsp.Position(1, 6))
    )
    assert isinstance(found, lsp.CompletionList)
    return list(found.items)


async def test_a_completion_is_an_entry_that_replaces_the_word_before_the_cursor(scripted: support.Instance) -> None:
    async with started(scripted.env, options={"completionItems": True}) as editor:
        (item,) = await items(editor)
    assert (item.label, item.filter_text) == ("add(a, b):", "add(a, b):")
    word = lsp.Range(lsp.Position(1, 4), lsp.Position(1, 6))
    assert item.text_edit == lsp.TextEdit(word, "add(a, b):\n    return a + b")


async def test_nobody_gets_them_unasked(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        assert await items(editor) == []
