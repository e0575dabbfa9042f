"""Two windows of VS Code and a Neovim on one workspace: one daemon, one model; and who leaves takes all with them."""

from __future__ import annotations

import psutil
import pytest
from playwright.sync_api import Browser

import support
from e2e import neovim
from e2e.vscode.conftest import OpenCode
from e2e.vscode.processes import pids

pytestmark = [pytest.mark.vscode, pytest.mark.neovim, pytest.mark.model]
TYPED = "def fibonacci(n):"


def test_all_editors_share_one_daemon_and_one_model(
    real: support.Instance, open_code: OpenCode, browser: Browser
) -> None:
    screen = neovim.Screen(real, "0.12", "")
    code = open_code(real, settings={"ingle.minScore": 0})
    windows = [code.open(browser), code.open(browser)]
    for number, window in enumerate(windows):
        window.edit(code.workspace / f"{number}.py")
        window.type(TYPED)
        window.wait(lambda window=window: window.ghost_text() != "", lambda: "no ghost text")  # type: ignore[misc]
    screen.keys("i", TYPED)
    screen.wait(lambda lines: lines[0].startswith(TYPED) and lines[:2] not in ([TYPED, "~"], [TYPED, ""]))

    assert len(pids(real, "ingle-lsp")) == 3
    daemon, (worker,) = real.pid, pids(real, "ingle_daemon.engine.worker")
    assert pids(real, "ingle_daemon.server") == [daemon]

    for window in windows:
        window.close()
    code.close()
    screen.close()
    support.wait_until(lambda: not pids(real, "ingle-lsp"))
    its_own = {child.pid for child in psutil.Process(worker).children(recursive=True)}
    support.wait_until(lambda: set(pids(real)) == {daemon, worker, *its_own})
    assert real.pid == daemon
    assert psutil.Process(worker).ppid() == daemon
