"""Code, string or comment; and what an insertion would break."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.completion.syntax import Kind, Syntax, language_of

SOURCE = """def f(items):
    x = 'abc'  # note
    y = f"{x} é😋"
    return x
"""


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("def f(", "code"),
        ("def f(items):\n    x = 'ab", "string"),
        ("def f(items):\n    x = 'abc'", "code"),
        ("def f(items):\n    x = 'abc'  # no", "comment"),
        ("def f(items):\n    x = 'abc'  # note", "comment"),
        ("def f(items):\n    x = 'abc'  # note\n    y = f\"{x", "code"),
        ("def f(items):\n    x = 'abc'  # note\n    y = f\"{x} é", "string"),
        ("", "code"),
    ],
)
def test_a_place_is_in_something(before: str, kind: Kind) -> None:
    syntax = Syntax("python")
    syntax.update(SOURCE)
    assert syntax.kind_at(len(before)) == kind


def test_after_a_closed_block_comment_is_code() -> None:
    syntax = Syntax("c")
    syntax.update("/* a */ int b;")
    assert [syntax.kind_at(len(before)) for before in ("/* a", "/* a */")] == ["comment", "code"]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("for x in items:", False),
        ("for x in items:\n        print(x)", False),
        ("x = [1,\n    y = 2\n    z = 3", True),
    ],
)
def test_only_what_is_finished_can_be_broken(text: str, broken: bool) -> None:
    before = "def f(items):\n    "
    syntax = Syntax("python")
    syntax.update(before + "\n    return items\n")
    assert syntax.breaks(len(before), text) is broken


def test_code_that_is_broken_already_is_not_judged() -> None:
    syntax = Syntax("python")
    syntax.update("def f(:\n    \n    return )\n")
    assert not syntax.breaks(len("def f(:\n    "), "x = [1,\n    y = 2\n    z = 3")


@given(st.lists(st.text(st.sampled_from("ab'#\n(é😋\ud800 "), max_size=20), min_size=2, max_size=5), st.integers(0, 20))
def test_an_updated_tree_is_the_tree_of_the_text(texts: list[str], at: int) -> None:
    kept = Syntax("python", clock=lambda: 0.0)
    for text in texts:
        kept.update(text)
    fresh = Syntax("python")
    fresh.update(texts[-1])
    assert not fresh._tree or (kept._tree and str(kept._tree.root_node) == str(fresh._tree.root_node))
    assert kept.kind_at(at) == fresh.kind_at(at)


@pytest.mark.parametrize(
    ("language_id", "filename", "language"),
    [
        ("python", "a", "python"),
        ("typescriptreact", "a.tsx", "tsx"),
        ("", "a/b.RS", "rust"),
        ("plaintext", "a.txt", ""),
    ],
)
def test_a_language_is_known_by_the_editors_word_or_the_files_name(
    language_id: str, filename: str, language: str
) -> None:
    assert language_of(language_id, filename) == language


def test_while_reading_is_slow_the_old_tree_is_moved_along() -> None:
    took = 1.0
    moments = itertools.count()
    syntax = Syntax("python", clock=lambda: next(moments) * took)
    lines = "x = 'abc'\n" * 100
    syntax.update(lines)
    syntax.update("y = (\n" + lines)
    slow = [syntax.slow]
    syntax.update("y = ( # note\n" + lines)
    assert syntax.kind_at(len("y = ( # note\n" + lines[:-3])) == "string"
    assert syntax.kind_at(len("y = ( # no")) == "code"
    took = 0.0
    syntax.settle()
    assert [*slow, syntax.slow] == [True, False]
    assert syntax.kind_at(len("y = ( # no")) == "comment"
