"""The dialogue on a real terminal: what tmux shows of it, what Ctrl-C stops, and how it leaves the terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

import support
from support import Instance

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


class Pane:
    """A shell in tmux."""

    def __init__(self, instance: Instance, columns: int, **variables: str) -> None:
        self._instance = instance
        set_variables = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", "24", *set_variables, "sh")

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def text(self, *options: str) -> str:
        return "\n".join(line.rstrip() for line in self._tmux("capture-pane", "-p", *options).splitlines())

    def wait(self, seen: Callable[[str], bool] | str, seconds: float = 60) -> str:
        """Until the screen shows it. A screen tells nobody when it changes, so it is looked at."""
        deadline = time.monotonic() + seconds
        while not (seen in (text := self.text()) if isinstance(seen, str) else seen(text := self.text())):
            assert time.monotonic() < deadline, f"not seen; the screen was:\n{text}"
            time.sleep(0.02)
        return text

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = self._instance.run("tmux", "-S", str(self._instance.root / "tmux"), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def talking() -> Iterator[Instance]:
    made = support.new_instance()
    rules = [
        {"kind": "chat", "match": "slow", "answer": "word " * 100_000},
        {"kind": "chat", "match": "hostile", "answer": "\x1b]0;owned\x07\x1b[2Ja\x1b]52;c;cm0=\x07b"},
        {"kind": "chat", "match": "", "answer": "the answer is " + "long " * 20},
    ]
    made.script(rules=rules, token_delay_ms=2, context=1_000_000)
    yield made
    made.close()


@pytest.fixture
def pane(talking: Instance, request: pytest.FixtureRequest) -> Iterator[Pane]:
    made = Pane(talking, **getattr(request, "param", {"columns": 80}))
    made.wait(at_the_shell)
    made.keys("ask", "Enter")
    made.wait("\n>")
    yield made
    made.close()


@pytest.mark.parametrize("pane", [{"columns": 40}, {"columns": 40, "NO_COLOR": "1"}, {"columns": 80}], indirect=True)
def test_an_answer_streams_and_the_next_prompt_stands_below(pane: Pane) -> None:
    pane.keys("what is it?", "Enter")
    text = pane.wait(lambda text: bool(re.search(r"^>$", text, re.MULTILINE)) and "scripted" in text.splitlines()[-1])
    assert "the answer is long" in text
    pane.keys("C-d")
    pane.wait(at_the_shell)


@pytest.mark.parametrize("pane", [{"columns": 80, "NO_COLOR": "1"}], indirect=True)
def test_no_color_means_no_colour(pane: Pane) -> None:
    pane.keys("what is it?", "Enter")
    pane.wait("tokens/s")
    shown = pane.text("-e")
    assert not re.search(r"\x1b\[[\d;]*(?:[34][0-8]|9\d|10\d|\b2)m", shown)


def test_ctrl_c_stops_the_answer_in_the_engine_and_keeps_it(pane: Pane, talking: Instance) -> None:
    pane.keys("slow", "Enter")
    pane.wait("word word")
    pane.keys("C-c")
    pane.wait("what had come is kept")
    support.wait_until(lambda: talking.call("GET", "/ingle/status")["requests"]["running"] == 0)
    (turn,) = talking.call("GET", "/ingle/conversations/1")["turns"]
    assert turn["ended"] == "stopped"
    assert turn["answer"].startswith("word word")
    pane.keys("and now?", "Enter")
    pane.wait("the answer is")


def test_a_daemon_that_is_killed_in_the_middle_ends_the_answer_only(pane: Pane, talking: Instance) -> None:
    pane.keys("slow", "Enter")
    pane.wait("word word")
    talking.kill()
    pane.wait("ingled ended while it answered")
    pane.keys("and now?", "Enter")
    pane.wait("tokens/s")
    turns = talking.call("GET", "/ingle/conversations/1")["turns"]
    assert [turn["ended"] for turn in turns] == ["killed", "end"]


def test_a_hostile_answer_cannot_reach_the_terminal(pane: Pane) -> None:
    pane.keys("hostile", "Enter")
    text = pane.wait("tokens/s")
    assert "\nab\n" in text
    assert "> hostile" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("keys", [["half a ques"], ["slow", "Enter"]], ids=["at the prompt", "while it answers"])
def test_a_terminal_is_left_as_it_was(pane: Pane, talking: Instance, number: int, keys: list[str]) -> None:
    pane.keys(*keys)
    pane.wait("word word" if "Enter" in keys else "half a ques")
    os.kill(the_dialogue_of(talking), number)
    pane.wait(at_the_shell)
    pane.keys("clear", "Enter")
    pane.wait(lambda text: "word" not in text)
    pane.keys("stty -a | grep -o ' icanon' ; stty -a | grep -o ' echo '", "Enter")
    pane.wait(lambda text: "\n icanon" in text and "\n echo" in text)


def at_the_shell(text: str) -> bool:
    return re.search(r"^[#$]$", text, re.MULTILINE) is not None


def the_dialogue_of(instance: Instance) -> int:
    """Its process."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        ours = (process.info["environ"] or {}).get("HOME") == str(instance.root)
        if ours and (process.info["cmdline"] or [""])[-1].endswith("/ask"):
            return int(process.pid)
    raise AssertionError("the dialogue does not run")


@pytest.mark.parametrize("line", ["ask --plain", "TERM=dumb ask"])
def test_a_plain_dialogue_redraws_nothing(talking: Instance, line: str) -> None:
    from shell.repl.typescript import typed

    screen = typed(talking, line, ["two lines \\", "in one", "/why", "\x04"], until=["> ", ". ", "tokens/s", "fit in"])
    assert "\x1b" not in screen.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\x1b[?2004l\x1b[?25h", "")
    assert "the answer is long" in screen
    (turn,) = talking.call("GET", "/ingle/conversations/1")["turns"]
    assert turn["question"] == "two lines \nin one"
