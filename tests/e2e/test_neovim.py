"""Someone types in a real Neovim, both releases, with the plugin; the daemon answers from a script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import support
from e2e.neovim import PLUGIN, VERSIONS, Editor

pytestmark = pytest.mark.neovim

ADD = "(a, b):\n    return a + b"
RULES = [
    {"kind": "infill", "match": r"def add\Z", "answer": ADD},
    {"kind": "infill", "match": r"SLOW\Z", "answer": "never", "delay_ms": 60_000},
    {"kind": "infill", "match": r'"é😋世" \Z', "answer": "== 'ñ世界 ok'"},
    {"kind": "infill", "match": r"\n\tif x:\Z", "answer": "\n\t\ty\t= 1"},
    {"kind": "infill", "match": r"add_all\Z", "answer": "(x)"},
    {"kind": "infill", "match": r"two\Z", "answer": "(2)"},
    {"kind": "infill", "match": r"def pick\Z", "answer": "(one)", "others": ["(two)", "(two)", "(two)"]},
    {"kind": "infill", "match": r"def tell\Z", "answer": "(what, was, taken)"},
    {"kind": "infill", "match": r"MISSING\Z", "error": "no_model"},
]


@pytest.fixture(scope="module")
def scripted() -> Iterator[support.Instance]:
    made = support.new_instance()
    made.script(rules=RULES)
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module", params=VERSIONS)
def editor(scripted: support.Instance, request: pytest.FixtureRequest) -> Iterator[Editor]:
    made = Editor(scripted, request.param)
    yield made
    made.close()


def offer(editor: Editor, text: str = "import os\n") -> None:
    """Type half a function at the end of a new file, and see the other half."""
    editor.open(text)
    editor.type("Godef add")
    editor.wait_ghost(ADD)


def attached(editor: Editor) -> bool:
    return bool(editor.lua("return #vim.lsp.get_clients({ name = 'ingle', bufnr = 0 }) > 0"))


def told(editor: Editor, command: str) -> str:
    """What `:Ingle …` says."""
    editor.nvim.command("messages clear")
    editor.nvim.command(f"Ingle {command}")
    return editor.messages()


def running(instance: support.Instance) -> int:
    return int(instance.call("GET", "/ingle/status")["requests"]["running"])


# --- taking it -----------------------------------------------------------------------------------------------------


def test_all_of_it_is_taken(editor: Editor) -> None:
    offer(editor)
    editor.type("<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    assert editor.nvim.current.window.cursor == (3, len("    return a + b"))
    assert editor.ghost() == ""


def test_words_of_it_are_taken_and_the_rest_stays(editor: Editor) -> None:
    offer(editor)
    for line, rest in (
        ("def add(", "a, b):\n    return a + b"),
        ("def add(a", ", b):\n    return a + b"),
        ("def add(a,", " b):\n    return a + b"),
        ("def add(a, b", "):\n    return a + b"),
        ("def add(a, b):", "\n    return a + b"),
    ):
        editor.type("<M-Right>")
        editor.wait_lines("import os", line)
        editor.wait_ghost(rest)
    editor.type("<M-Right>")
    editor.wait_lines("import os", "def add(a, b):", "    return")
    editor.wait_ghost(" a + b")


CLOSES = "inoremap <buffer> ( ()<C-g>U<Left>"
"""As a plugin for pairs does."""


@pytest.mark.parametrize("typed", ["(", "(a, b"])
def test_what_is_closed_by_itself_does_not_stand_there_twice(editor: Editor, typed: str) -> None:
    offer(editor)
    editor.nvim.command(CLOSES)
    editor.type(typed)
    editor.wait_lines("import os", f"def add{typed})")
    editor.wait_ghost(ADD.removeprefix(typed))
    editor.type("<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    editor.type("<Esc>u")
    editor.wait_lines("import os", f"def add{typed})")


def test_words_take_the_place_of_what_was_closed_by_itself(editor: Editor) -> None:
    offer(editor)
    editor.nvim.command(CLOSES)
    editor.type("(")
    editor.wait_lines("import os", "def add()")
    editor.wait_ghost(ADD.removeprefix("("))
    for line, rest in (
        ("def add(a)", ", b):\n    return a + b"),
        ("def add(a,)", " b):\n    return a + b"),
        ("def add(a, b)", "):\n    return a + b"),
        ("def add(a, b):", "\n    return a + b"),
    ):
        editor.type("<M-Right>")
        editor.wait_lines("import os", line)
        editor.wait_ghost(rest)


def test_lines_of_it_are_taken(editor: Editor) -> None:
    offer(editor)
    editor.type("<M-C-Right>")
    editor.wait_lines("import os", "def add(a, b):")
    editor.wait_ghost("\n    return a + b")
    editor.type("<M-C-Right>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")


def test_another_candidate_is_asked_for_shown_and_taken(editor: Editor) -> None:
    editor.open("import os\n")
    editor.type("Godef pick")
    editor.wait_ghost("(one)")
    editor.type("<M-]>")
    editor.wait_ghost("(two)")
    editor.type("<M-]>")
    editor.wait_ghost("(one)")
    editor.type("<M-[>")
    editor.wait_ghost("(two)")
    editor.type("<Tab>")
    editor.wait_lines("import os", "def pick(two)")


def test_typing_leads_to_the_candidate_that_says_so(editor: Editor) -> None:
    editor.open("")
    editor.type("idef pick")
    editor.wait_ghost("(one)")
    editor.type("<M-]>")
    editor.wait_ghost("(two)")
    editor.type("(o")
    editor.wait_ghost("ne)")


def fates(instance: support.Instance) -> list[tuple[str, int]]:
    """What became of the last completions, and of how many characters."""
    told = instance.call("GET", "/ingle/why?n=20")["completions"]
    return [(entry["outcome"]["kind"], entry["outcome"].get("characters", 0)) for entry in told if entry.get("outcome")]


def test_the_server_hears_what_was_taken(editor: Editor, scripted: support.Instance) -> None:
    editor.open("import os\n")
    editor.type("Godef tell")
    editor.wait_ghost("(what, was, taken)")
    editor.type("<M-Right><M-Right>")
    editor.wait(lambda: ("partly", len("(what")) in fates(scripted))
    editor.type("<Tab>")
    editor.wait(lambda: ("accepted", len("(what, was, taken)")) in fates(scripted))


def test_the_server_hears_what_was_dismissed(editor: Editor, scripted: support.Instance) -> None:
    editor.open("import sys\n")
    editor.type("Godef pick")
    editor.wait_ghost("(one)")
    editor.type("<C-]>")
    editor.wait(lambda: "rejected" in [kind for kind, _ in fates(scripted)])


def test_a_part_of_a_word_in_any_script_is_a_word(editor: Editor) -> None:
    editor.open('x = "é😋世"')
    editor.type("A <BS> ")
    editor.type("<Esc>")
    editor.type("A")
    editor.wait_ghost("== 'ñ世界 ok'")
    for line in ('x = "é😋世" ==', 'x = "é😋世" == \'', 'x = "é😋世" == \'ñ世界'):
        editor.type("<M-Right>")
        editor.wait_lines(line)
    editor.type("<Tab>")
    editor.wait_lines("x = \"é😋世\" == 'ñ世界 ok'")


# --- typing on -----------------------------------------------------------------------------------------------------


def test_typing_what_it_says_leaves_the_rest(editor: Editor) -> None:
    offer(editor)
    for typed in "(a,":
        editor.type(typed)
    editor.wait_ghost(ADD.removeprefix("(a,"))
    editor.type("<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")


def test_typing_something_else_takes_it_away(editor: Editor) -> None:
    offer(editor)
    editor.type("x")
    editor.wait_ghost("")
    editor.settled()
    assert editor.ghost() == ""


def test_deleting_what_was_typed_takes_it_away(editor: Editor) -> None:
    offer(editor)
    editor.type("(a")
    editor.wait_ghost(ADD.removeprefix("(a"))
    editor.type("<BS>")
    editor.wait_ghost(ADD.removeprefix("("))
    editor.type("<BS><BS>")
    editor.wait_ghost("")
    editor.settled()
    assert editor.ghost() == ""


def test_keys_that_were_typed_ahead_are_counted(editor: Editor) -> None:
    offer(editor)
    editor.type("(a<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    offer(editor)
    editor.type("x<Tab>")  # nothing to take any more: the key does what it did
    editor.settled()
    assert editor.lines() == ["import os", "def addx    "]


def test_leaving_insert_mode_hides_it_and_coming_back_shows_it(editor: Editor) -> None:
    offer(editor)
    editor.type("<Esc>")
    editor.wait_ghost("")
    editor.type("A")
    editor.wait_ghost(ADD)


def test_it_is_dismissed_until_something_is_typed(editor: Editor) -> None:
    offer(editor)
    editor.type("<C-]>")
    editor.settled()
    assert editor.ghost() == ""
    assert editor.mode() == "i"
    editor.type("<BS>d")
    editor.wait_ghost(ADD)


def test_every_key_cancels_what_is_on_its_way(editor: Editor, scripted: support.Instance) -> None:
    pending = """
    local client = vim.lsp.get_clients({ name = 'ingle' })[1]
    return vim.tbl_count(vim.tbl_filter(function(request) return request.type == 'pending' end, client.requests))
    """
    editor.open("")
    editor.type("iSLOW")
    editor.wait(lambda: running(scripted) == 1)
    for key in "SLOW":
        editor.type(key)
        assert editor.lua(pending) == 1
    editor.type("<Esc>")
    editor.wait(lambda: running(scripted) == 0)
    assert editor.lua(pending) == 0


def test_a_macro_that_runs_asks_for_nothing(editor: Editor) -> None:
    editor.open("")
    editor.lua("vim.fn.setreg('q', 'odef add\\27')")
    editor.type("@q")
    editor.wait_lines("", "def add")
    assert editor.ghost() == ""


def test_a_macro_that_is_recorded_gets_no_key_that_takes(editor: Editor) -> None:
    editor.open("import os\n")
    editor.type("qqGodef add")
    editor.wait_lines("import os", "def add")
    editor.settled()
    assert editor.ghost() == ""
    editor.type("<Esc>qA")
    editor.wait_ghost(ADD)


def test_by_hand_it_comes_where_it_would_not_by_itself(editor: Editor) -> None:
    editor.open("def add # and more code\n")
    editor.type("fd;a")
    editor.settled()
    assert editor.ghost() == ""
    editor.type("<M-Bslash>")
    editor.wait_ghost("(a, b):")


def test_nothing_is_shown_where_it_could_not_be_put(editor: Editor) -> None:
    offer(editor)
    editor.nvim.command("setlocal virtualedit=all")
    editor.type("<Right><Right>")
    editor.wait_ghost("")
    editor.type("<Left><Left>")
    editor.wait_ghost(ADD)
    editor.nvim.command("setlocal nomodifiable")
    assert editor.lua("return require('ingle').accept()") is False
    assert editor.lines() == ["import os", "def add"]


# --- undo and repeat -----------------------------------------------------------------------------------------------


def test_undo_takes_back_what_was_taken_and_not_what_was_typed(editor: Editor) -> None:
    offer(editor)
    editor.type("<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    editor.type(" + c<Esc>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b + c")
    editor.type("u")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    editor.type("u")
    editor.wait_lines("import os", "def add")
    editor.type("<C-r>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")


def test_dot_repeats_what_was_typed_and_taken(editor: Editor) -> None:
    offer(editor)
    editor.type("<Tab>")
    editor.wait_lines("import os", "def add(a, b):", "    return a + b")
    editor.type("<Esc>.")
    editor.wait_lines("import os", *["def add(a, b):", "    return a + b"] * 2)


# --- text of every kind --------------------------------------------------------------------------------------------


def test_tabs_are_drawn_as_wide_as_they_are_and_taken_as_tabs(editor: Editor) -> None:
    editor.open("def f():\n\tif x:\n")
    editor.lua("vim.bo.expandtab, vim.bo.tabstop = false, 4")
    editor.type("GA")
    editor.wait_ghost("\n        y   = 1")
    editor.type("<Tab>")
    editor.wait_lines("def f():", "\tif x:", "\t\ty\t= 1")


def test_a_file_with_carriage_returns_keeps_them(editor: Editor) -> None:
    path = editor.open("import os\n\n", newline="\r\n")
    editor.type("Godef add")
    editor.wait_ghost(ADD)
    editor.type("<Tab>")
    editor.wait_lines("import os", "", "def add(a, b):", "    return a + b")
    editor.type("<Esc>:w<CR>")
    editor.wait(lambda: path.read_bytes() == b"import os\r\n\r\ndef add(a, b):\r\n    return a + b\r\n")


def test_a_line_with_bytes_that_are_no_text_is_completed(editor: Editor) -> None:
    path = editor.open("")
    path.write_bytes(b"x = 'a\xff\xe2\x82b'\n")
    editor.nvim.command("edit! ++enc=utf-8 ++bad=keep")
    editor.wait_attached()
    editor.type("A; def add")
    editor.wait_ghost(ADD)
    editor.type("<Tab>")
    editor.type("<Esc>:w<CR>")
    editor.wait(lambda: path.read_bytes() == b"x = 'a\xff\xe2\x82b'; def add(a, b):\n    return a + b\n")


# --- menus ---------------------------------------------------------------------------------------------------------


def test_it_yields_to_the_completion_menu(editor: Editor) -> None:
    editor.open("addition = 1\nadder = 2\n")
    editor.type("Godef add")
    editor.wait_ghost(ADD)
    editor.type("<C-n>")
    editor.wait(editor.nvim.funcs.pumvisible)
    editor.settled()
    assert editor.ghost() == ""
    editor.type("<C-e>")
    editor.wait_ghost(ADD)


BLINK = """
package.loaded['blink.cmp'] = { is_menu_visible = function() return _G.menu end }
_G.menu_changed = function(open)
  _G.menu = open
  vim.api.nvim_exec_autocmds('User', { pattern = open and 'BlinkCmpMenuOpen' or 'BlinkCmpMenuClose' })
end
"""
CMP = """
local heard = {}
package.loaded['cmp'] = {
  visible = function() return _G.menu end,
  event = { on = function(_, name, callback) heard[name] = callback end },
}
_G.menu_changed = function(open)
  _G.menu = open
  heard[open and 'menu_opened' or 'menu_closed']()
end
"""


@pytest.mark.parametrize("plugin", [BLINK, CMP], ids=["blink.cmp", "nvim-cmp"])
def test_it_yields_to_the_menus_of_other_plugins(scripted: support.Instance, plugin: str) -> None:
    """Stand-ins that answer and tell as the two plugins document it: they are on no package index."""
    editor = Editor(scripted, "0.11")
    try:
        editor.lua(plugin)
        offer(editor)
        editor.lua("_G.menu_changed(true)")
        editor.wait_ghost("")
        editor.lua("_G.menu_changed(false)")
        editor.wait_ghost(ADD)
    finally:
        editor.close()


def test_it_joins_the_completion_menu_where_that_is_wanted(scripted: support.Instance) -> None:
    editor = Editor(scripted, "0.12", "{ popup = 'join' }")
    try:
        editor.open("add_all = 1\n")
        editor.lua("vim.o.completeopt = 'menuone,noinsert'")
        editor.type("Goadd")
        editor.type("<C-n>")
        editor.wait(editor.nvim.funcs.pumvisible)
        editor.wait_ghost("_all(x)")
        editor.type("<Tab>")
        editor.wait_lines("add_all = 1", "add_all(x)")
    finally:
        editor.close()


# --- buffers and windows -------------------------------------------------------------------------------------------


def test_another_buffer_has_its_own(editor: Editor) -> None:
    offer(editor)
    editor.type("<Cmd>edit other.py<CR>")
    editor.wait_attached()
    assert editor.ghost() == ""
    editor.type("<Esc>itwo")
    editor.wait_ghost("(2)")
    editor.type("<Tab>")
    editor.wait_lines("two(2)")
    editor.type("<Esc>")
    editor.nvim.command("buffer! #")
    assert editor.lines() == ["import os", "def add"]
    assert editor.ghost() == ""


def test_a_folder_is_no_document(editor: Editor, tmp_path: Path) -> None:
    editor.open("")
    editor.nvim.command(f"Explore {tmp_path}")
    editor.wait(lambda: editor.nvim.current.buffer.options["filetype"] == "netrw")
    editor.settled()
    assert not attached(editor)
    assert "this buffer is a folder" in told(editor, "status")


@pytest.mark.parametrize("command", ["file", "saveas!"])
def test_a_file_that_is_named_anew_goes_on(editor: Editor, tmp_path: Path, command: str) -> None:
    editor.open("import os\n")
    editor.nvim.command(f"{command} {tmp_path}/renamed.py")
    offered = "vim.lsp.get_clients({ name = 'ingle' })[1].attached_buffers[vim.api.nvim_get_current_buf()]"
    editor.wait(lambda: editor.lua(f"return {offered}"))
    editor.type("Godef add")
    editor.wait_ghost(ADD)


def test_a_buffer_is_deleted_while_an_answer_is_on_its_way(editor: Editor, scripted: support.Instance) -> None:
    editor.nvim.command("messages clear")
    editor.open("")
    editor.type("iSLOW")
    editor.wait(lambda: running(scripted) == 1)
    editor.type("<Cmd>bdelete!<CR>")
    editor.wait(lambda: running(scripted) == 0)
    editor.open("")
    editor.type("<Esc>")
    offer(editor)
    editor.type("<Cmd>bdelete!<CR>")
    editor.settled()
    assert "Error" not in editor.messages()


def test_a_file_in_another_workspace_is_the_same_servers(editor: Editor, scripted: support.Instance) -> None:
    editor.open("")
    for name in ("one", "two"):
        (scripted.root / name / ".git").mkdir(parents=True, exist_ok=True)
        editor.nvim.command(f"edit {scripted.root / name}/x.py")
        editor.wait_attached()
    known = """
    local folders = vim.lsp.get_clients({ name = 'ingle' })[1].workspace_folders
    return vim.tbl_map(function(folder) return folder.name end, folders)
    """
    editor.wait(lambda: {str(scripted.root / name) for name in ("one", "two")} <= set(editor.lua(known)))
    assert len(editor.children()) == 1


def test_a_file_that_is_too_large_is_left_alone(editor: Editor) -> None:
    path = editor.open("import os\n")
    path.write_text(f"{'x' * 60}\n" * 400_000)
    editor.nvim.command("edit!")
    editor.wait(lambda: not attached(editor))
    assert "this buffer is larger than 20 MB" in told(editor, "status")
    assert editor.lua("return require('ingle').statusline()") == "ingle: off"
    path.write_text("import os\n")
    editor.nvim.command("edit!")
    editor.wait_attached()
    editor.type("Godef add")
    editor.wait_ghost(ADD)


# --- switches, keys, commands --------------------------------------------------------------------------------------


def test_it_is_switched_off_here_and_everywhere(editor: Editor) -> None:
    offer(editor)
    editor.type("<Cmd>Ingle toggle here<CR>")
    editor.wait_ghost("")
    assert editor.lua("return require('ingle').statusline()") == "ingle: off"
    editor.type("<Cmd>Ingle toggle here<CR>")
    editor.wait_ghost(ADD)
    editor.type("<Cmd>Ingle disable<CR>")
    editor.wait_ghost("")
    editor.open("")
    editor.type("<Esc>idef add")
    editor.settled()
    assert editor.ghost() == ""
    editor.type("<Cmd>Ingle enable<CR>")
    editor.wait_ghost(ADD)


def test_neovims_own_client_is_switched_too(scripted: support.Instance) -> None:
    editor = Editor(scripted, "0.12", "{ native = true }")
    try:
        editor.open("")
        enabled = "return vim.lsp.inline_completion.is_enabled({ bufnr = 0 })"
        for command, on in (("disable here", False), ("enable here", True), ("disable", False), ("enable", True)):
            editor.nvim.command(f"Ingle {command}")
            assert editor.lua(enabled) is on
    finally:
        editor.close()


def test_a_switch_says_what_keeps_completions_away(editor: Editor) -> None:
    editor.open("")
    assert "are on in this buffer" in told(editor, "enable")
    assert "are off in this buffer" in told(editor, "disable here")
    assert "are off everywhere; `:Ingle enable`" in told(editor, "disable")
    assert "are off everywhere; `:Ingle enable`" in told(editor, "enable here")
    assert "are on in this buffer" in told(editor, "enable")
    editor.nvim.command("help ingle")
    assert "none come here: this buffer is a tool's, no file" in told(editor, "enable here")


def test_the_status_line_says_how_it_is(editor: Editor) -> None:
    def status() -> str:
        return str(editor.lua("return require('ingle').statusline()"))

    offer(editor)
    editor.wait(lambda: status() == "ingle: scripted")
    editor.type("<Esc>ccSLOW")
    editor.wait(lambda: status() == "ingle: thinking")
    editor.type("<Esc>ccMISSING")
    editor.wait(lambda: status() == "ingle: error")
    assert editor.lua("return require('ingle.status').get().reason") != ""
    editor.type("<Esc>cctwo")
    editor.wait(lambda: status() == "ingle: scripted")


def test_diagnostics_of_others_reach_the_server(editor: Editor) -> None:
    sent = """
    local client = vim.lsp.get_clients({ name = 'ingle' })[1]
    local notify, seen = client.notify, {}
    client.notify = function(self, method, params)
      if method == 'ingle/diagnostics' then
        seen[#seen + 1] = vim.tbl_map(function(found) return found.message end, params.diagnostics)
      end
      return notify(self, method, params)
    end
    local ns = vim.api.nvim_create_namespace('linter')
    vim.diagnostic.set(ns, 0, { { lnum = 0, col = 0, message = 'x is not defined', severity = 1 } })
    vim.diagnostic.reset(ns, 0)
    client.notify = notify
    return seen
    """
    editor.open("x\n")
    assert editor.lua(sent) == [["x is not defined"], []]


def test_a_key_does_what_it_did_where_there_is_nothing_to_take(scripted: support.Instance) -> None:
    editor = Editor(scripted, "0.11", "{ keys = { accept = '<C-l>', dismiss = false } }")
    try:
        editor.open("")
        editor.type("ix<Tab>y<C-l>z")
        editor.wait(lambda: editor.lines()[0].startswith("x   y"))
        editor.lua("vim.keymap.set('i', '<C-l>', function() return 'mine' end, { expr = true })")
        editor.lua("require('ingle').setup({ keys = { accept = '<C-l>' } })")
        editor.type("<Esc>cc<C-l>")
        editor.wait_lines("mine")
        editor.type("<Esc>ccdef add")
        editor.wait_ghost(ADD)
        editor.type("<C-l>")
        editor.wait_lines("def add(a, b):", "    return a + b")
        editor.lua("require('ingle').setup({ keys = false })")
        editor.type("<Esc>ggdGi<C-l>")
        editor.wait_lines("mine")
    finally:
        editor.close()


def test_a_wrong_setting_is_named(editor: Editor) -> None:
    for settings, said in (
        ("{ popups = 'join' }", "popups"),
        ("{ popup = 'maybe' }", "popup"),
        ("{ keys = 3 }", "keys"),
        ("{ keys = { accept = 3 } }", "keys.accept"),
        ("{ keys = { accept = true } }", "keys.accept"),
        ("{ filetypes = { 'python' } }", "filetypes"),
        ("{ filetypes = { python = 'on' } }", "filetypes"),
        ("{ cmd = {} }", "cmd"),
        ("{ cmd = 'ingle-lsp' }", "cmd"),
        ("{ root_markers = { 1 } }", "root_markers"),
    ):
        refused = editor.lua(f"return tostring(select(2, pcall(require('ingle').setup, {settings})))")
        assert said in refused


def test_a_switch_of_nothing_is_refused(editor: Editor) -> None:
    editor.open("")
    for arguments in ("'nonsense'", "'here', 3"):
        assert editor.lua(f"return pcall(require('ingle').toggle, {arguments})") is False
    assert "are on in this buffer" in told(editor, "enable")


def test_a_running_server_gets_new_settings(editor: Editor) -> None:
    editor.open("")
    editor.lua("require('ingle').setup({ server = { nonsense = 1 } })")
    editor.wait(lambda: "nonsense" in editor.lua("return require('ingle.status').message()"))
    editor.lua("require('ingle').setup()")


def test_commands_are_completed(editor: Editor) -> None:
    def completed(line: str) -> list[str]:
        return list(editor.nvim.funcs.getcompletion(line, "cmdline"))

    assert {"enable", "status", "why", "restart"} <= set(completed("Ingle "))
    assert completed("Ingle to") == ["toggle"]
    assert completed("Ingle toggle ") == ["everywhere", "here"]
    assert completed("Ing to") == ["toggle"]
    assert completed("silent 1,1Ingl toggle h") == ["here"]
    editor.nvim.command("messages clear")
    editor.type("<Esc>:Ingle nonsense<CR>")
    editor.wait(lambda: "there is no :Ingle nonsense" in editor.messages())


def test_why_and_status_tell(editor: Editor) -> None:
    offer(editor)
    editor.type("<Esc>:Ingle why 3<CR>")
    editor.wait(lambda: editor.nvim.current.buffer.options["filetype"] == "ingle-why")
    assert any(".py" in line for line in editor.lines())
    editor.nvim.command("messages clear")
    editor.type(":Ingle status<CR>")
    editor.wait(lambda: "ingle: " in editor.messages())
    assert "ingle-lsp --stdio" in editor.messages()


@pytest.mark.parametrize("number", ["x", "-3", "0", "1 2"])
def test_why_takes_a_number(editor: Editor, number: str) -> None:
    editor.open("")
    editor.nvim.command("messages clear")
    editor.type(f"<Esc>:Ingle why {number}<CR>")
    editor.wait(lambda: "say of how many completions" in editor.messages())


def test_why_asked_again_takes_the_place_of_what_it_told(editor: Editor) -> None:
    offer(editor)
    editor.type("<Esc>:Ingle why<CR>")
    editor.wait(lambda: editor.nvim.current.buffer.options["filetype"] == "ingle-why")
    first = editor.nvim.current.window.handle
    editor.type(":Ingle why 2<CR>")
    editor.wait(lambda: editor.nvim.current.window.handle != first)
    assert len(editor.nvim.windows) == 2


def test_the_log_is_shown_in_one_tab_and_is_no_document(editor: Editor, scripted: support.Instance) -> None:
    scripted.log_file.write_text("first\n")
    editor.open("")
    editor.nvim.command("Ingle log")
    editor.wait(lambda: editor.lines() == ["first"])
    editor.nvim.command("tabfirst")
    scripted.log_file.write_text("first\nsecond\n")
    editor.nvim.command("Ingle log")
    editor.wait(lambda: editor.lines() == ["first", "second"])
    assert editor.nvim.current.window.cursor[0] == 2
    assert len(editor.nvim.tabpages) == 2
    assert editor.lua("return vim.bo.readonly and not vim.bo.modifiable")
    assert not attached(editor)
    editor.nvim.command("tabclose")


def test_checkhealth_finds_all_well(editor: Editor) -> None:
    editor.open("")
    editor.nvim.command("checkhealth ingle")
    report = "\n".join(editor.lines())
    assert "ERROR" not in report
    assert "WARNING" not in report
    assert "ingle-lsp 0" in report


def test_checkhealth_lists_the_keys_in_order(editor: Editor) -> None:
    editor.open("")
    editor.nvim.command("checkhealth ingle")
    verbs = [line.rpartition(": ")[2] for line in editor.lines() if "OK <" in line]
    assert verbs == ["accept", "accept_line", "accept_word", "dismiss", "next", "previous", "suggest"]


def test_help_is_found(editor: Editor) -> None:
    editor.open("")
    for topic in ("ingle", ":Ingle", "ingle-settings", "ingle-keys", "ingle.accept()"):
        editor.nvim.command(f"help {topic}")
        assert editor.nvim.current.buffer.name.endswith("doc/ingle.txt")


def test_the_help_tags_are_those_of_the_help(editor: Editor, tmp_path: Path) -> None:
    shutil.copy(PLUGIN / "doc/ingle.txt", tmp_path)
    editor.nvim.command(f"helptags {tmp_path}")
    assert (tmp_path / "tags").read_text() == (PLUGIN / "doc/tags").read_text()
