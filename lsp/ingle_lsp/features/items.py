"""`textDocument/completion` for editors without ghost text: the inline completion as one entry of the menu. Opt-in.

This module turns one LSP shape into another; how a completion is made is `inline.py`'s.
"""

from __future__ import annotations

import re

from lsprotocol import types as lsp

from ingle_lsp.completion.context import Encoding, units

__all__ = ["as_inline_params", "as_item"]

_LONGEST_LABEL = 60
_WORD = re.compile(r"\w*\Z")


def as_inline_params(params: lsp.CompletionParams) -> lsp.InlineCompletionParams:
    """The request for an inline completion that a menu's request amounts to; asked by hand, it is by hand."""
    by_hand = params.context is not None and params.context.trigger_kind == lsp.CompletionTriggerKind.Invoked
    kind = lsp.InlineCompletionTriggerKind.Invoked if by_hand else lsp.InlineCompletionTriggerKind.Automatic
    return lsp.InlineCompletionParams(lsp.InlineCompletionContext(kind), params.text_document, params.position)


def as_item(
    inline: lsp.InlineCompletionItem, line_before: str, position: lsp.Position, encoding: Encoding
) -> lsp.CompletionItem:
    """What an inline item adds, as an entry that replaces the word before the cursor by itself and more.

    Editors find an entry by the text that it replaces, and some take the entry's word for it (Emacs): with a range that
    begins at the cursor they lose the word.
    """
    found = _WORD.search(line_before)
    word = found[0] if found else ""
    added = word + str(inline.insert_text).removeprefix(line_before)
    first = added.strip().split("\n", 1)[0]
    start = lsp.Position(position.line, position.character - units(word, encoding))
    end = inline.range.end if inline.range else position  # behind closers that the text brings itself
    return lsp.CompletionItem(
        label=first if len(first) <= _LONGEST_LABEL else f"{first[: _LONGEST_LABEL - 1]}…",
        kind=lsp.CompletionItemKind.Text,
        detail="ingle",
        sort_text="0",
        filter_text=first,
        text_edit=lsp.TextEdit(lsp.Range(start, end), added),
        command=inline.command,
    )
