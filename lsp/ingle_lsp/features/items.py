"""`textDocument/completion` for editors without ghost text: the inline completion as one entry of the menu. Opt-in.

This module turns one LSP shape into another; how a completion is made is `inline.py`'s.
"""

from __future__ import annotations

import re

from lsprotocol import types as lsp

__all__ = ["as_inline_params", "as_item"]

_LONGEST_LABEL = 60
_WORD = re.compile(r"\w*\Z")


def as_inline_params(params: lsp.CompletionParams) -> lsp.InlineCompletionParams:
    """The request for an inline completion that a menu's request amounts to; asked by hand, it is by hand."""
    by_hand = params.context is not None and params.context.trigger_kind == lsp.CompletionTriggerKind.Invoked
    kind = lsp.InlineCompletionTriggerKind.Invoked if by_hand else lsp.InlineCompletionTriggerKind.Automatic
    return lsp.InlineCompletionParams(lsp.InlineCompletionContext(kind), params.text_document, params.position)


def as_item(inline: lsp.InlineCompletionItem, line_before: str, position: lsp.Position) -> lsp.CompletionItem:
    """What an inline item adds behind the cursor, as an entry that the editor finds by the word before it."""
    added = str(inline.insert_text).removeprefix(line_before)
    word = _WORD.search(line_before)
    first = added.strip().split("\n", 1)[0]
    return lsp.CompletionItem(
        label=first if len(first) <= _LONGEST_LABEL else f"{first[: _LONGEST_LABEL - 1]}…",
        kind=lsp.CompletionItemKind.Text,
        detail="ingle",
        sort_text="0",
        filter_text=(word[0] if word else "") + first,
        text_edit=lsp.TextEdit(lsp.Range(position, position), added),
        command=inline.command,
    )
