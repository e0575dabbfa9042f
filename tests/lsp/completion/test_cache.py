"""Typing what was offered keeps the offer; anything else does not."""

from __future__ import annotations

import pytest

from ingle_lsp.completion.cache import LastCompletion
from ingle_lsp.completion.context import Hole


@pytest.fixture
def last() -> LastCompletion:
    last = LastCompletion()
    last.keep("f", Hole("def ", "\n"), "add(a, b):\n    return a")
    return last


@pytest.mark.parametrize(
    ("before", "rest"),
    [
        ("def ", "add(a, b):\n    return a"),
        ("def add(a", ", b):\n    return a"),
        ("def add(a, b):\n", "    return a"),
        ("def add(a, b):\r\n", "    return a"),
    ],
)
def test_what_was_typed_leaves_the_rest(last: LastCompletion, before: str, rest: str) -> None:
    assert last.rest("f", Hole(before, "\n")) == rest


@pytest.mark.parametrize(
    ("key", "hole"),
    [
        ("f", Hole("def x", "\n")),
        ("f", Hole("de", "\n")),
        ("f", Hole("def a", ")\n")),
        ("g", Hole("def a", "\n")),
        ("f", Hole("def add(a, b):\n    return a", "\n")),
        ("f", Hole("def add(a, b):\n    return a + b", "\n")),
    ],
    ids=["other text", "deleted", "changed after the cursor", "other document", "all typed", "typed past it"],
)
def test_anything_else_leaves_nothing(last: LastCompletion, key: str, hole: Hole) -> None:
    assert last.rest(key, hole) == ""


def test_a_closed_document_is_forgotten(last: LastCompletion) -> None:
    last.forget("other")
    assert last.rest("f", Hole("def a", "\n"))
    last.forget("f")
    assert last.rest("f", Hole("def a", "\n")) == ""
