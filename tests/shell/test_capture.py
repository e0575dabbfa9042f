"""The output of the last failure from the terminal that shows it: a real tmux, a real kitty, a played WezTerm."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ingle_shell.capture import output_of
from shell.tmux import tmux
from support import Instance

FAILS = "sh -c 'echo broken; exit 3'"
START = "PS1='READY@ '; eval \"$(ingle init bash)\"\n"


@pytest.fixture
def asked(instance: Instance) -> Instance:
    """An instance whose model says whether it was told the output, and that alone."""
    instance.script(rules=[
        {"kind": "chat", "match": r"printed:\s*broken\s+Why", "answer": "With it."},
        {"kind": "chat", "match": "", "answer": "Without it."},
    ])  # fmt: skip
    instance.start()
    (instance.root / "start").write_text(START)
    return instance


def test_tmux_tells_it(asked: Instance) -> None:
    with tmux(asked, "INGLE_CAPTURE=tmux bash --noprofile --rcfile start -i") as screen:
        for line in (FAILS, "echo later", "ask --last"):
            screen.wait(lambda lines: lines[-1:] == ["READY@"])
            screen.keys("-l", line)
            screen.keys("Enter")
        lines = screen.wait(lambda lines: any(line in ("With it.", "Without it.") for line in lines))
        assert "With it." in lines


class Kitty:
    """A real kitty on a screen that nobody sees."""

    def __init__(self, instance: Instance) -> None:
        self._instance, self._socket = instance, instance.root / "kitty"
        self._process = subprocess.Popen(
            [
                *("xvfb-run", "-a", "kitty", "--config", "NONE", "--listen-on", f"unix:{self._socket}"),
                *("-o", "allow_remote_control=yes", "-o", "shell_integration=disabled"),
                *("env", "INGLE_CAPTURE=kitty", "bash", "--noprofile", "--rcfile", "start", "-i"),
            ],
            cwd=instance.root,
            env={**instance.env, "LIBGL_ALWAYS_SOFTWARE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def type(self, line: str) -> None:
        self._remote("send-text", f"{line}\\r")

    def wait(self, *any_of: str) -> str:
        deadline = time.monotonic() + 30
        while not any(each in (text := self._remote("get-text")) for each in any_of):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        return text

    def close(self) -> None:
        self._remote("close-window")
        self._process.wait(timeout=30)

    def _remote(self, *arguments: str) -> str:
        return self._instance.run("kitty", "@", "--to", f"unix:{self._socket}", *arguments).stdout


def test_kitty_tells_it(asked: Instance) -> None:
    if not (shutil.which("kitty") and shutil.which("xvfb-run")):
        pytest.skip("kitty or xvfb-run is not installed")
    kitty = Kitty(asked)
    try:
        kitty.wait("READY@")
        kitty.type(FAILS)
        kitty.wait("\nbroken")
        kitty.type("false || echo later")
        kitty.wait("\nlater")
        kitty.type("ask --last")
        assert "With it." in kitty.wait("With it.", "Without it.")
    finally:
        kitty.close()


def test_wezterm_is_asked_for_its_pane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "wezterm"
    expected = "cli get-text --pane-id 4 --start-line -500"
    stand_in.write_text(f'#!/bin/sh\n[ "$*" = "{expected}" ] && printf "$ make\\nbroken\\n$ ask --last\\n"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert output_of("make", {"INGLE_CAPTURE": "wezterm", "WEZTERM_PANE": "4"}) == "broken"


@pytest.mark.parametrize("capture", ["", "tmux", "kitty", "wezterm", "log", "other"])
def test_elsewhere_there_is_none(capture: str) -> None:
    assert output_of("make", {"INGLE_CAPTURE": capture, "INGLE_LAST_MARK": "1.1"}) == ""
    assert output_of("make", {"INGLE_CAPTURE": capture, "INGLE_LOG": "/nowhere", "INGLE_LAST_MARK": "1.1"}) == ""
