"""VS Code as a person sees it: a code-server, and the windows of a browser that show it.

This module knows VS Code's page and its keys, and nothing of what is tested with it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, expect

import support
from e2e.vscode.toolchain import Toolchain

__all__ = ["CodeServer", "Window", "pictures"]

_SETTINGS: dict[str, object] = {
    "workbench.startupEditor": "none",
    "workbench.editor.useModal": "off",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "telemetry.telemetryLevel": "off",
    "chat.disableAIFeatures": True,  # a runtime of another completion's starts otherwise
    "extensions.autoUpdate": False,
    "extensions.ignoreRecommendations": True,
    "files.autoSave": "off",
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.wordBasedSuggestions": "currentDocument",
    "security.workspace.trust.enabled": False,
}
_READ = """pieces => {
    const lines = new Map();
    for (const piece of pieces) {
        const {top, left} = piece.getBoundingClientRect();
        const line = lines.get(Math.round(top)) ?? [];
        line.push([left, piece.innerText]);
        lines.set(Math.round(top), line);
    }
    const downwards = [...lines.entries()].sort(([one], [other]) => one - other);
    return downwards.map(([, line]) => line.sort(([one], [other]) => one - other).map(([, text]) => text).join(""));
}"""
_LISTEN = """item => {
    window.ingleSaid = [];
    const note = () => window.ingleSaid.push(item.querySelector("a")?.getAttribute("aria-label") ?? "");
    new MutationObserver(note).observe(item, {subtree: true, childList: true, attributes: true});
}"""
_PATIENCE = 30.0
"""Seconds: the machine may be busy with other things."""


def pictures() -> Path:
    """Where screenshots are kept: outside the repository."""
    folder = Path(os.environ.get("INGLE_PICTURES") or Path(tempfile.gettempdir()) / "ingle-pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class CodeServer:
    """One VS Code for an instance of ingle: it and all that it starts have the instance's folders."""

    def __init__(
        self,
        tools: Toolchain,
        instance: support.Instance,
        settings: Mapping[str, object] = {},
        env: Mapping[str, str] = {},
    ) -> None:
        self.root = instance.root / "code"
        self.workspace = instance.root / "work"
        self.workspace.mkdir(exist_ok=True)
        (self.root / "User").mkdir(parents=True)
        (self.root / "User/settings.json").write_text(json.dumps({**_SETTINGS, **settings}))
        (self.root / "config.yaml").write_text("auth: none\ncert: false\n")
        self._env = {**instance.env, "SHELL": "/bin/bash", "EXTENSIONS_GALLERY": "{}", **env}
        # VS Code takes its PATH from a login shell.
        (instance.root / ".profile").write_text(f"export PATH={shlex.quote(self._env['PATH'])}\n")
        self._command = [str(tools.node), str(tools.code_server), "--config", str(self.root / "config.yaml")]
        self._command += ["--user-data-dir", str(self.root), "--extensions-dir", str(self.root / "extensions")]
        self._run("--install-extension", str(tools.extension))
        self._url, self._process = self._start()

    def open(self, browser: Browser, target: Path | None = None) -> Window:
        """A new window on a folder or a `.code-workspace`; on the workspace if nothing is said."""
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        target = target or self.workspace
        kind = "folder" if target.is_dir() else "workspace"
        page.goto(f"{self._url}/?{kind}={target}", wait_until="domcontentloaded", timeout=90_000)
        return Window(page)

    def close(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(20)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([*self._command, *arguments], env=self._env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def _start(self) -> tuple[str, subprocess.Popen[bytes]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (self.root / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [*self._command, "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry", "--disable-update-check"],
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        support.wait_until(lambda: _answers(f"{url}/healthz"))
        return url, process


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


class Window:
    """A window of VS Code, with one editor that is typed in."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.file = Path()
        self.ghost = page.locator(".ghost-text-decoration, .ghost-text, .ghost-text-decoration-preview")
        self.status = page.locator("[id='ingle.ingle.ingle.status']")
        page.set_default_timeout(_PATIENCE * 1000)
        expect(self.status).to_be_visible(timeout=90_000)

    def reset(self) -> None:
        """Close what is open, as a new test wants it."""
        self.press("Escape", "Escape")
        self.run("Notifications: Clear All Notifications")
        while self.page.locator(".tab").count():
            self.run("View: Revert and Close Editor")
            self.page.locator(".quick-input-widget").wait_for(state="hidden")

    def edit(self, file: Path, text: str = "") -> None:
        """Open a file with this text, the cursor at its end."""
        file.write_bytes(text.encode())
        self.page.keyboard.press("Control+p")
        entry = self.page.locator(".quick-input-widget input[type=text]")
        entry.fill(str(file))
        # Before VS Code has looked there, it lists files of like names that were open before.
        found = self.page.locator(".quick-input-list .monaco-list-row").first
        label = rf"^{re.escape(file.name)}( {re.escape(file.parent.name)})?, file results$"  # the folder, if of several
        expect(found).to_have_attribute("aria-label", re.compile(label))
        self.page.keyboard.press("Enter")
        editor = f".editor-group-container.active .monaco-editor[data-uri$='{quote(str(file))}']"
        self.page.locator(editor).locator(".view-lines").first.click()
        self.page.keyboard.press("Control+End")
        self.file = file

    def type(self, text: str, delay: float = 20) -> None:
        """Type, `delay` milliseconds between two keys."""
        self.page.keyboard.type(text, delay=delay)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def run(self, command: str) -> None:
        """Run a command by its title."""
        self.page.keyboard.press("F1")
        entry = self.page.locator(".quick-input-widget input[type=text]")
        entry.fill(f">{command}")
        self.page.locator(".quick-input-list .monaco-list-row", has_text=command).first.click()

    def answer(self, text: str) -> None:
        """Type into the input box that opens."""
        entry = self.page.locator(".quick-input-widget input[type=text]")
        expect(self.page.locator(".quick-input-list")).to_be_hidden()
        entry.fill(text)
        entry.press("Enter")

    def choose(self, label: str) -> None:
        """Take an entry of the list that is open."""
        self.page.locator(".quick-input-list .monaco-list-row", has_text=label).first.click()

    def wait_for_ghost(self, text: str) -> None:
        """Until this is the ghost text."""
        self.wait(lambda: self.ghost_text() == text, lambda: f"ghost text {self.ghost_text()!r}")

    def wait_for_no_ghost(self) -> None:
        expect(self.ghost).to_have_count(0)

    def ghost_text(self) -> str:
        """What is shown and not there. The page has it in pieces, in no order: it is read as it stands."""
        lines: list[str] = self.ghost.evaluate_all(_READ)
        return "\n".join(lines).replace("\xa0", " ")

    def wait_for_status(self, words: str) -> None:
        """Until the status bar says this to a screen reader."""
        expect(self.status.locator("a")).to_have_attribute("aria-label", re.compile(re.escape(words)))

    @contextmanager
    def until_ready_again(self) -> Iterator[None]:
        """What is done in the block takes the server away: return when another one is ready."""
        self.status.evaluate(_LISTEN)
        yield
        said: list[str] = []

        def is_back() -> bool:
            said[:] = self.page.evaluate("window.ingleSaid")
            return bool(said) and "ready" in said[-1] and any("ready" not in each for each in said)

        self.wait(is_back, lambda: f"the status bar said {said}")

    def said(self) -> str:
        """What the status bar says to a screen reader now."""
        return self.status.locator("a").get_attribute("aria-label") or ""

    def shown(self) -> str:
        """The lines that the editor shows, in no order."""
        return self.page.locator(".editor-group-container.active .view-lines").inner_text().replace("\xa0", " ")

    def saved(self) -> str:
        """Save, and what the file holds then."""
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".tab.active.dirty")).to_have_count(0)
        return self.file.read_bytes().decode()

    def message(self, words: str) -> Locator:
        """The notification that says this, once it is there."""
        found = self.page.locator(".notification-list-item", has_text=words).first
        found.wait_for()
        return found

    def picture(self, name: str) -> Path:
        path = pictures() / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def wait(self, seen: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        """Until that is so. A page tells nobody when it changes, so it is looked at."""
        deadline = time.monotonic() + _PATIENCE
        while not seen():
            assert time.monotonic() < deadline, otherwise()
            self.page.wait_for_timeout(20)

    def close(self) -> None:
        self.page.close()
