"""What the status bar and its menu say and do, and what is told when a process is killed under VS Code."""

from __future__ import annotations

import os
import re
import signal

import psutil
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
    def asked_for(number: int) -> list[bool]:
        return ["id" in each for each in scripted.call("GET", f"/ingle/why?n={number}")["completions"]]

    typed.press("Escape", "Enter")
    typed.type("# def add")
    typed.wait_for_no_ghost()
    support.wait_until(lambda: not all(asked_for(5)))
    typed.type("!")  # what was asked for at the return key may have come later than what was not, of the comment
    support.wait_until(lambda: asked_for(1) == [False])
    typed.status.click()
    typed.choose("Why was there no completion?")
    expect(typed.page.locator(".output-view .view-lines")).to_contain_text(re.compile(r"not.asked.*in.a.comment"))
    typed.run("View: Hide Panel")


def test_a_killed_server_is_started_again(typed: Window, scripted: support.Instance) -> None:
    (first,) = pids(scripted, "ingle-lsp")
    with typed.until_ready_again():
        support.kill(first)
    assert pids(scripted, "ingle-lsp") != [first]
    typed.press("Escape")
    typed.edit(typed.file.with_name("again.py"))
    typed.type("def add")
    typed.wait_for_ghost(ADD)


def test_restarting_in_a_hurry_leaves_one_server(typed: Window, scripted: support.Instance) -> None:
    (first,) = pids(scripted, "ingle-lsp")
    with typed.until_ready_again():
        for _ in range(3):
            typed.run("ingle: Restart Language Server")
    expect(typed.page.locator(".statusbar-item", has_text="Restarting ingle-lsp")).to_have_count(0)
    (last,) = pids(scripted, "ingle-lsp")
    assert last != first
    typed.edit(typed.file.with_name("hurry.py"))
    typed.type("def add")
    typed.wait_for_ghost(ADD)


def test_a_server_that_hangs_is_killed_by_a_restart(typed: Window, scripted: support.Instance) -> None:
    (first,) = pids(scripted, "ingle-lsp")
    os.kill(first, signal.SIGSTOP)
    with typed.until_ready_again():
        typed.run("ingle: Restart Language Server")
    assert len(pids(scripted, "ingle-lsp")) == 1
    assert not psutil.pid_exists(first)
    typed.edit(typed.file.with_name("hung.py"))
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
