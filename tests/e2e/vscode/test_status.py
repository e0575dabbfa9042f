"""What the status bar and its menu say and do, and what is told when a process is killed under VS Code."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

import support
from e2e.vscode.conftest import ADD
from e2e.vscode.editor import CodeServer, Window
from e2e.vscode.processes import pids

pytestmark = pytest.mark.vscode


@pytest.fixture
def typed(window: Window, code: CodeServer, request: pytest.FixtureRequest) -> Window:
    """A window in which a completion was shown, so that the daemon runs."""
    window.edit(code.workspace / f"{request.node.name}.py")
    window.type("def add")
    window.wait_for_ghost(ADD)
    return window


def test_the_status_bar_names_the_model_and_says_when_it_thinks(typed: Window) -> None:
    typed.wait_for_status("ingle, ready, scripted")
    expect(typed.status).to_contain_text("scripted")
    typed.press("Escape", "End", "Enter")
    typed.type("slow =")
    typed.wait_for_status("thinking")
    typed.wait_for_ghost(" 42")
    typed.wait_for_status("ready")


@pytest.mark.parametrize("where", ["here", "everywhere"])
def test_the_menu_turns_completion_off_and_on(typed: Window, where: str) -> None:
    typed.status.click()
    typed.choose(f"Turn off {where}")
    typed.wait_for_status("off")
    typed.edit(typed.file.with_name(f"off-{where}.py"))
    typed.type("def add")
    typed.page.wait_for_timeout(1000)  # nothing is to happen, and nobody announces that
    typed.wait_for_no_ghost()
    typed.status.click()
    typed.choose(f"Turn on {where}")
    typed.wait_for_status("ready")
    typed.run("ingle: Complete Here")
    typed.wait_for_ghost(ADD)


def test_the_menu_says_why_there_was_no_completion(typed: Window, scripted: support.Instance) -> None:
    typed.press("Escape", "Enter")
    typed.type("# def add")
    typed.wait_for_no_ghost()
    support.wait_until(lambda: "id" not in scripted.call("GET", "/ingle/why")["completions"][0])
    typed.status.click()
    typed.choose("Why was there no completion?")
    expect(typed.page.locator(".output-view .view-lines")).to_contain_text(re.compile(r"not.asked.*in.a.comment"))
    typed.run("View: Hide Panel")


def test_a_killed_server_is_started_again(typed: Window, scripted: support.Instance) -> None:
    (first,) = pids(scripted, "ingle-lsp")
    support.kill(first)
    support.wait_until(lambda: pids(scripted, "ingle-lsp") not in ([], [first]))
    typed.wait_for_status("ready")
    typed.press("Escape")
    typed.edit(typed.file.with_name("again.py"))
    typed.type("def add")
    typed.wait_for_ghost(ADD)


def test_restarting_in_a_hurry_leaves_one_server(typed: Window, scripted: support.Instance) -> None:
    (first,) = pids(scripted, "ingle-lsp")
    for _ in range(3):
        typed.run("ingle: Restart Language Server")
    support.wait_until(lambda: first not in pids(scripted, "ingle-lsp"))
    typed.wait_for_status("ready")
    support.wait_until(lambda: len(pids(scripted, "ingle-lsp")) == 1)
    typed.edit(typed.file.with_name("hurry.py"))
    typed.type("def add")
    typed.wait_for_ghost(ADD)


def test_a_killed_daemon_is_started_again(typed: Window, scripted: support.Instance) -> None:
    first = scripted.pid
    support.kill(first)
    typed.edit(typed.file.with_name("daemon.py"))
    typed.type("def add")
    typed.wait_for_ghost(ADD)
    assert scripted.pid != first
    typed.wait_for_status("ready")
