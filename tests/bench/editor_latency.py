"""From the last keystroke to ghost text in Neovim, and what of it is ours: the rest is the server's wait for a pause.

Somebody types a name again and again in both Neovims, with ingle-lsp, the daemon and its scripted backend, which
answers at once. Neovim itself takes the times: when the key arrives, and when it redraws with the ghost text on the
screen of a terminal. `debounceMs` is set, so that what is waited for on purpose is known, and is taken off.

    PYTHONPATH=tests python tests/bench/editor_latency.py [--json] [--rounds KEYSTROKES]
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

import pynvim

import support
from bench import report
from e2e.neovim import VERSIONS, Screen

DEBOUNCE_MS = 50
SETTINGS = f"{{ server = {{ debounceMs = {DEBOUNCE_MS} }} }}"

# on_key hears a key before it is worked on, and only digits lead to ghost text; a decoration provider's on_end is
# called when a redraw is done.
_WATCH = """
_G.typed, _G.seen = nil, {}
local ghost = vim.api.nvim_create_namespace('ingle.ghost')
vim.on_key(function(key) _G.typed = key:match('%d') and vim.uv.hrtime() or nil end)
vim.api.nvim_set_decoration_provider(vim.api.nvim_create_namespace('latency'), {
  on_end = function()
    local whole = vim.api.nvim_get_current_line():match('^v%d%d%d$')
    if whole and _G.typed and #vim.api.nvim_buf_get_extmarks(0, ghost, 0, -1, {}) > 0 then
      table.insert(_G.seen, (vim.uv.hrtime() - _G.typed) / 1e6)
      _G.typed = nil
    end
  end,
})
"""


def main() -> None:
    options = report.options("From the last keystroke to ghost text in Neovim.", rounds=50)
    rows: list[report.Row] = []
    for version in VERSIONS:
        times = sorted(_measure(version, options.rounds))
        p50, p95 = statistics.median(times), report.percentile(times, 95)
        rows.append(
            {
                "Neovim": version,
                "p50": round(p50, 1),
                "p95": round(p95, 1),
                "ours p50": round(p50 - DEBOUNCE_MS, 1),
                "ours p95": round(p95 - DEBOUNCE_MS, 1),
            }
        )
    title = f"milliseconds from a key to its ghost text, {options.rounds} keys, debounce {DEBOUNCE_MS} ms"
    report.show(title, rows, as_json=options.as_json)


def _measure(version: str, rounds: int) -> list[float]:
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": r"v\d{3}\Z", "answer": " = 1"}])
    screen = None
    try:
        listen = instance.root / "nvim.sock"
        screen = Screen(instance, version, "import os\n", SETTINGS, listen=listen)
        return _typed(screen, listen, rounds)
    finally:
        if screen:
            screen.close()
        instance.close()


def _typed(screen: Screen, listen: Path, rounds: int) -> list[float]:
    screen.wait(lambda lines: any(line.startswith("ingle: offline") for line in lines))
    nvim = pynvim.attach("socket", path=str(listen))
    screen.keys("o", "v999")
    screen.wait(lambda lines: any("v999 = 1" in line for line in lines), 30)  # the daemon is started by this
    nvim.exec_lua(_WATCH)
    for number in range(rounds):
        screen.keys("C-u")
        screen.keys(f"v{100 + number}")
        wanted = number + 1
        support.wait_until(partial(nvim.exec_lua, "return #_G.seen >= ...", wanted))
    times: list[float] = nvim.exec_lua("return _G.seen")
    nvim.close()
    return times


if __name__ == "__main__":
    main()
