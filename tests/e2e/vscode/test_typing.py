"""Someone types in a real VS Code, sees ghost text, and takes it: all, a word, a line, another one, or none."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

import support
from e2e.vscode.conftest import ADD
from e2e.vscode.editor import CodeServer, Window

pytestmark = pytest.mark.vscode


@pytest.fixture
def ghost(window: Window, code: CodeServer, request: pytest.FixtureRequest) -> Window:
    """A window in which a completion is shown."""
    window.edit(code.workspace / f"{request.node.name}.py", "import os\n")
    window.type("def add")
    window.wait_for_ghost(ADD)
    return window


def test_all_of_it_is_taken(ghost: Window, scripted: support.Instance) -> None:
    ghost.press("Tab")
    ghost.wait_for_no_ghost()
    assert ghost.saved() == f"import os\ndef add{ADD}"
    until(ghost, scripted, "accepted")


def test_a_word_is_taken_and_the_rest_stays(ghost: Window, scripted: support.Instance) -> None:
    ghost.press("Control+ArrowRight")
    ghost.wait_for_ghost(ADD.removeprefix("("))
    until(ghost, scripted, "partly")
    ghost.press("Tab")
    assert ghost.saved() == f"import os\ndef add{ADD}"


def test_a_line_is_taken(ghost: Window, scripted: support.Instance) -> None:
    ghost.press("Shift+Tab")
    ghost.wait(lambda: "(a" not in ghost.ghost_text(), ghost.ghost_text)
    until(ghost, scripted, "partly")
    assert ghost.saved().rstrip() == "import os\ndef add(a, b):"


def test_without_ghost_text_the_keys_do_what_they_always_do(window: Window, code: CodeServer) -> None:
    window.edit(code.workspace / "keys.py", "    one two")
    window.press("Home", "Control+ArrowRight")
    window.type("_")
    window.press("Shift+Tab")
    assert window.saved() == "one_ two"


def test_the_next_candidate_is_taken(ghost: Window) -> None:
    ghost.press("Alt+]")
    ghost.wait(lambda: ghost.ghost_text() not in ("", ADD), ghost.ghost_text)
    second = ghost.ghost_text()
    ghost.press("Alt+[")
    ghost.wait_for_ghost(ADD)
    ghost.press("Alt+]")
    ghost.wait_for_ghost(second)
    ghost.press("Tab")
    assert ghost.saved() == f"import os\ndef add{second}"


def test_typing_what_it_says_keeps_it(ghost: Window) -> None:
    ghost.type("(a,")
    ghost.wait(lambda: ghost.ghost_text().endswith("return a + b"), ghost.ghost_text)
    ghost.type("!")
    ghost.wait_for_no_ghost()


@pytest.mark.parametrize("typed", ["(", "(a, b", "(a, b)"])
def test_what_vs_code_closes_by_itself_does_not_stand_there_twice(window: Window, code: CodeServer, typed: str) -> None:
    window.edit(code.workspace / f"closes{len(typed)}.py", "import os\n")
    window.type("def add")
    window.wait_for_ghost(ADD)
    window.type(typed)
    window.wait(lambda: window.ghost_text().endswith("return a + b"), window.ghost_text)
    window.press("Tab")
    window.wait_for_no_ghost()
    assert window.saved() == f"import os\ndef add{ADD}"


def test_escape_dismisses_it(ghost: Window, scripted: support.Instance) -> None:
    ghost.press("Escape")
    ghost.wait_for_no_ghost()
    until(ghost, scripted, "rejected")
    assert ghost.saved() == "import os\ndef add"


def test_with_the_suggestions_open_it_continues_the_selected_one(window: Window, code: CodeServer) -> None:
    window.edit(code.workspace / "popup.py", "added = 1\nadder = 2\n")
    window.type("ad")
    window.press("Control+Space")
    expect(window.page.locator(".suggest-widget .monaco-list-row.focused")).to_contain_text("added")
    window.wait_for_ghost("ded = added + 1")
    window.press("Tab")
    expect(window.page.locator(".suggest-widget.visible")).to_have_count(0)
    window.wait_for_ghost(" = added + 1")
    window.press("Tab")
    assert window.saved() == "added = 1\nadder = 2\nadded = added + 1"


def test_windows_line_ends_stay(window: Window, code: CodeServer) -> None:
    window.edit(code.workspace / "crlf.py", "import os\r\n")
    window.type("def add")
    window.wait_for_ghost(ADD)
    window.press("Control+ArrowRight")
    window.wait_for_ghost(ADD.removeprefix("("))
    window.press("Tab")
    assert window.saved() == f"import os\r\ndef add{ADD}".replace("\n    ", "\r\n    ")


def until(window: Window, instance: support.Instance, kind: str) -> None:
    """Until the daemon knows that this became of a completion of the window's file."""

    def known() -> list[str]:
        told: list[dict[str, Any]] = instance.call("GET", "/ingle/why?n=20")["completions"]
        outcomes = [entry.get("outcome") or {} for entry in told if entry.get("filename") == window.file.name]
        return [outcome.get("kind", "") for outcome in outcomes]

    window.wait(lambda: kind in known(), lambda: f"{known()}")
