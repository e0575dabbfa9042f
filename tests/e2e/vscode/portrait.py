"""The README's picture of VS Code: `PYTHONPATH=tests python -m e2e.vscode.portrait docs/images/vscode.png`."""

from __future__ import annotations

import sys
from contextlib import closing

from playwright.sync_api import sync_playwright

import support
from e2e.vscode.conftest import FLAGS
from e2e.vscode.editor import CodeServer
from e2e.vscode.toolchain import toolchain

_SETTINGS = {
    "workbench.colorTheme": "Default Dark Modern",
    "workbench.sideBar.location": "right",
    "editor.fontSize": 18,
    "editor.lineHeight": 28,
    "editor.minimap.enabled": False,
    "breadcrumbs.enabled": False,
}
_ABOVE = '''"""Temperatures, as the weather station sends them."""

from dataclasses import dataclass
from statistics import mean


@dataclass(frozen=True)
class Reading:
    station: str
    celsius: float


'''
_TYPED = "def warmest"
_GHOST = '''(readings: list[Reading]) -> Reading:
    """The reading of the warmest station."""
    return max(readings, key=lambda reading: reading.celsius)'''


def main(target: str) -> None:
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": r"def warmest\Z", "answer": _GHOST}])
    tools = toolchain()
    try:
        with closing(CodeServer(tools, instance, settings=_SETTINGS)) as code, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(tools.browser), args=FLAGS)
            window = code.open(browser)
            window.edit(code.workspace / "weather.py", _ABOVE + _TYPED[:-1])
            window.run("View: Toggle Primary Side Bar Visibility")
            window.run("View: Focus Active Editor Group")
            window.type(_TYPED[-1])
            window.wait_for_ghost(_GHOST)
            window.wait_for_status("ready, scripted")
            window.page.screenshot(path=target)
            browser.close()
    finally:
        instance.close()


if __name__ == "__main__":
    main(sys.argv[1])
