"""The server is killed, the daemon is, Neovim is, there is no server at all: what the user sees, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import psutil
import pytest

import support
from e2e.neovim import VERSIONS, Editor

pytestmark = pytest.mark.neovim

RULES = [{"kind": "infill", "match": r"def \w+\Z", "answer": "(a, b)"}]
Open = Callable[..., Editor]


@pytest.fixture
def scripted(instance: support.Instance) -> support.Instance:
    instance.script(rules=RULES)
    return instance


@pytest.fixture(params=VERSIONS)
def start(scripted: support.Instance, request: pytest.FixtureRequest) -> Iterator[Callable[..., Editor]]:
    """Starts a Neovim with these settings."""
    editors: list[Editor] = []

    def start(settings: str = "{}") -> Editor:
        editors.append(Editor(scripted, request.param, settings))
        return editors[-1]

    yield start
    for editor in editors:
        editor.close()


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_killed_server_is_started_again(start: Open) -> None:
    editor = start()
    editor.open("")
    editor.type("idef one")
    editor.wait_ghost("(a, b)")
    first = editor.server_pid()
    support.kill(first)
    editor.wait(lambda: editor.children() not in ([], [first]))
    editor.wait_attached()
    editor.wait_ghost("(a, b)")
    editor.type("s")
    editor.wait_ghost("(a, b)")
    editor.type("<Tab>")
    editor.wait_lines("def ones(a, b)")


def test_a_server_that_keeps_ending_is_given_up_and_tried_again_when_asked(start: Open) -> None:
    editor = start("{ cmd = { 'false' } }")
    editor.nvim.command("edit x.py")
    editor.wait(lambda: editor.lua("return require('ingle').statusline()") == "ingle: error")
    assert "ingle-lsp keeps ending (exit code 1)" in editor.messages()
    editor.lua("require('ingle').setup({ cmd = { 'ingle-lsp', '--stdio' } })")
    editor.nvim.command("Ingle restart")
    editor.wait_attached()
    assert editor.lua("return require('ingle').statusline()") != "ingle: error"


def test_a_restart_by_hand_is_one_restart_however_often_it_is_asked_for(start: Open) -> None:
    editor = start()
    editor.open("")
    first = editor.server_pid()
    for _ in range(3):
        editor.nvim.command("Ingle restart")
    editor.wait(lambda: len(editor.children()) == 1 and editor.children() != [first])
    editor.wait_attached()
    editor.type("idef one")
    editor.wait_ghost("(a, b)")
    assert len(editor.children()) == 1


def test_a_killed_daemon_is_started_again(start: Open, scripted: support.Instance) -> None:
    editor = start()
    editor.open("")
    editor.type("idef one")
    editor.wait_ghost("(a, b)")
    first = scripted.pid
    support.kill(first)
    editor.type("<Esc>odef two")
    editor.wait_ghost("(a, b)")
    assert scripted.pid != first


def test_without_a_server_the_user_is_told_once_how_to_get_one(start: Open) -> None:
    editor = start("{ cmd = { 'no-such-ingle-lsp' } }")
    for name in ("x.py", "y.py"):
        editor.nvim.command(f"edit {name}")
    editor.wait(lambda: "no-such-ingle-lsp is not installed" in editor.messages())
    assert editor.messages().count("is not installed") == 1
    assert "uv tool install ingle" in editor.messages()
    assert editor.lua("return require('ingle').statusline()") == "ingle: error"
    editor.nvim.command("checkhealth ingle")
    assert "ERROR ingle-lsp is not installed" in "\n".join(editor.lines())


def test_checkhealth_warns_of_a_model_that_is_not_there_or_broken(start: Open, scripted: support.Instance) -> None:
    broken = scripted.root / "broken.gguf"
    broken.write_bytes(b"GGUF")
    del scripted.env["INGLE_BACKEND"]
    for model, problem in (("", "there is no model"), (str(broken), "the model cannot be loaded: " + str(broken))):
        scripted.env["INGLE_MODEL"] = model
        scripted.start()
        scripted.run("ingle", "load")
        editor = start()
        editor.open("")
        editor.nvim.command("checkhealth ingle")
        assert f"WARNING {problem}" in "\n".join(editor.lines())
        scripted.run("ingle", "stop")


def test_nothing_is_left_when_neovim_quits_or_is_killed(start: Open) -> None:
    for end in (":qall!<CR>", ""):
        editor = start()
        editor.open("")
        editor.type("idef one")
        editor.wait_ghost("(a, b)")
        server = editor.server_pid()
        editor.type(f"<Esc>{end}") if end else editor.process.kill()
        editor.process.wait(10)
        support.wait_until(partial(is_gone, server))
