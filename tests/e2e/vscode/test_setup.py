"""A VS Code that is new to ingle: nothing installed, nothing trusted, no model, or several folders at once."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import support
from e2e.vscode.conftest import ADD, RULES, OpenCode
from e2e.vscode.editor import Window
from e2e.vscode.processes import pids

pytestmark = pytest.mark.vscode
_SERVER = Path(sys.executable).with_name("ingle-lsp")


@pytest.fixture
def instance(instance: support.Instance) -> support.Instance:
    instance.script(rules=RULES)
    return instance


def test_a_missing_server_is_found_once_it_is_installed(
    instance: support.Instance, open_code: OpenCode, browser: Browser
) -> None:
    readable = {"terminal.integrated.gpuAcceleration": "off"}
    code = open_code(instance, settings=readable, env={"PATH": "/usr/bin:/bin"})
    window = code.open(browser)
    window.wait_for_status("not installed")
    window.message("ingle-lsp is not installed").get_by_role("button", name="Install in a Terminal").click()
    rows = window.page.locator(".terminal-wrapper .xterm-rows")
    expect(rows).to_contain_text("install")
    window.picture("missing")
    assert rows.inner_text().rstrip().endswith("ingle"), "the command was run"
    tools = instance.root / ".local/bin"
    tools.mkdir(parents=True)
    (tools / "ingle-lsp").symlink_to(_SERVER)
    window.run("Terminal: Kill All Terminals")
    _completes(window, code.workspace / "found.py")


def test_an_untrusted_workspace_starts_nothing(
    instance: support.Instance, open_code: OpenCode, browser: Browser
) -> None:
    trust = {"enabled": True, "startupPrompt": "never", "banner": "never"}
    code = open_code(instance, settings={f"security.workspace.trust.{name}": to for name, to in trust.items()})
    window = code.open(browser)
    window.wait_for_status("off until the workspace is trusted")
    window.edit(code.workspace / "untrusted.py")
    window.type("def add")
    window.picture("untrusted")
    assert pids(instance, "ingle-lsp") == []
    window.run("Workspaces: Manage Workspace Trust")
    window.page.get_by_role("button", name="Trust", exact=True).first.click()
    window.wait(lambda: "trusted" not in window.said(), window.said)
    _completes(window, code.workspace / "welcome.py")


def test_one_server_completes_in_every_folder(
    instance: support.Instance, open_code: OpenCode, browser: Browser
) -> None:
    code = open_code(instance)
    folders = [instance.root / "first", instance.root / "second"]
    for folder in folders:
        folder.mkdir()
    several = instance.root / "both.code-workspace"
    several.write_text(json.dumps({"folders": [{"path": str(folder)} for folder in folders]}))
    window = code.open(browser, several)
    for folder in folders:
        _completes(window, folder / "same.py")
    assert len(pids(instance, "ingle-lsp")) == 1
    names = [entry["filename"] for entry in instance.call("GET", "/ingle/why?n=20")["completions"] if "id" in entry]
    assert set(names) == {"same.py"}


@pytest.mark.model
def test_a_missing_model_is_said_and_the_starter_model_chosen(
    starter: Path, open_code: OpenCode, browser: Browser
) -> None:
    instance = support.new_instance()
    code = open_code(instance, settings={"ingle.minScore": 0})
    window = code.open(browser)
    try:
        window.edit(code.workspace / "model.py")
        window.type("def fib")
        window.message("model").wait_for()
        window.wait_for_status("something is wrong")
        window.picture("model-missing")
        shutil.copytree(starter.parent, Path(instance.xdg["XDG_DATA_HOME"]) / "ingle/models" / starter.parent.name)
        window.status.click()
        window.choose("Switch model")
        window.choose(support.STARTER)
        window.message(f"using {support.STARTER}")
        support.wait_until(lambda: instance.call("GET", "/ingle/status")["model"]["state"] == "ready")
        window.page.locator(".view-lines").first.click()
        window.type("onacci(n):")
        window.wait(lambda: window.ghost_text() != "", lambda: "no ghost text")
        window.wait_for_status("ready")
        window.picture("starter-model")
    finally:
        code.close()
        instance.close()


def _completes(window: Window, file: Path) -> None:
    window.wait(lambda: "starting" not in window.said() and "wrong" not in window.said(), window.said)
    window.edit(file)
    window.type("def add")
    window.wait_for_ghost(ADD)
    window.press("Tab")
    assert window.saved() == f"def add{ADD}"
