"""Last keystroke to ghost text on screen, in a real VS Code: what is added to the pause that is waited for.

The model is a script that answers at once, so that all the rest is measured: VS Code, the extension, ingle-lsp, ingled,
and back to the next frame that the page draws. Every round types on a line of its own, which no cache knows.

    .ci/editors vscode && PYTHONPATH=tests python tests/bench/vscode_latency.py [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import closing

from playwright.sync_api import sync_playwright

import support
from e2e.vscode.conftest import FLAGS
from e2e.vscode.editor import CodeServer, Window
from e2e.vscode.toolchain import toolchain

ROUNDS, WARM_UP = 50, 5
DEBOUNCE_MS = 50
_WATCH = """() => {
    let pressed = 0, waiting = false;
    window.latencies = [];
    addEventListener("keydown", () => { pressed = performance.now(); waiting = true; }, true);
    new MutationObserver(() => {
        if (waiting && document.querySelector(".ghost-text-decoration, .ghost-text")) {
            waiting = false;
            const since = pressed;
            requestAnimationFrame(() => window.latencies.push(performance.now() - since));
        }
    }).observe(document.body, {childList: true, subtree: true});
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Last keystroke to ghost text in VS Code.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    added = sorted(latency - DEBOUNCE_MS for latency in measure())
    figures = {
        "rounds": len(added),
        "debounce_ms": DEBOUNCE_MS,
        "added_p50_ms": round(statistics.median(added), 1),
        "added_p95_ms": round(added[round(0.95 * (len(added) - 1))], 1),
        "added_min_ms": round(added[0], 1),
        "added_max_ms": round(added[-1], 1),
    }
    print(json.dumps(figures, indent=2) if options.as_json else "\n".join(f"{k:15} {v}" for k, v in figures.items()))


def measure() -> list[float]:
    """Milliseconds of every round, the pause included."""
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": r"_add\Z", "answer": "(a, b):"}])
    try:
        tools = toolchain()
        settings = {"ingle.debounceMs": DEBOUNCE_MS}
        with closing(CodeServer(tools, instance, settings)) as code, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(tools.browser), args=FLAGS)
            window = code.open(browser)
            window.edit(code.workspace / "latency.py", "import os\n")
            window.page.evaluate(_WATCH)
            latencies = [_round(window, number) for number in range(WARM_UP + ROUNDS)]
            browser.close()
    finally:
        instance.close()
    return latencies[WARM_UP:]


def _round(window: Window, number: int) -> float:
    window.type(f"def f{number}_add", delay=60)
    window.wait_for_ghost("(a, b):")
    window.page.wait_for_function("number => window.latencies.length > number", arg=number)
    latency: float = window.page.evaluate("window.latencies.at(-1)")
    window.press("Escape")
    window.wait_for_no_ghost()
    window.press("Enter")
    return latency


if __name__ == "__main__":
    main()
