"""The server's code actions as commands of VS Code: what changes code waits for the user's word."""

from __future__ import annotations

import pytest

from e2e.vscode.editor import CodeServer, Window

pytestmark = pytest.mark.vscode
CODE = "def one():\n    return 1\n"


@pytest.fixture
def selected(window: Window, code: CodeServer, request: pytest.FixtureRequest) -> Window:
    """A window with a function in it, selected."""
    window.edit(code.workspace / f"{request.node.name}.py", CODE)
    window.press("Control+Home", "Shift+ArrowDown", "Shift+End")
    return window


def test_code_is_explained(selected: Window) -> None:
    selected.run("ingle: Explain Selection")
    selected.message("It adds two numbers.")


def test_a_docstring_waits_for_confirmation(selected: Window) -> None:
    selected.run("ingle: Write Docstring")
    selected.page.locator(".bulk-edit-panel").wait_for()
    assert '"""One."""' not in selected.shown()
    _confirm(selected)
    selected.wait(lambda: '"""One."""' in selected.shown(), selected.shown)
    assert '"""One."""' in selected.saved()


def test_code_is_edited_by_instruction(selected: Window) -> None:
    selected.press("Control+End", "ArrowUp", "Home", "Shift+End")
    selected.run("ingle: Edit by Instruction")
    selected.answer("make it two")
    _confirm(selected)
    selected.wait(lambda: "return 2" in selected.shown(), selected.shown)


def test_without_a_problem_there_is_nothing_to_fix(selected: Window) -> None:
    selected.run("ingle: Fix Problem")
    selected.message("No problem is reported here")


def _confirm(window: Window) -> None:
    """Tick what VS Code shows of the edit, and apply it."""
    window.page.locator(".bulk-edit-panel .edit-checkbox").last.click()
    window.page.get_by_role("button", name="Apply", exact=True).click()
