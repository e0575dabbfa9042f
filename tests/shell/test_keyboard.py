"""What is typed while an answer is awaited: not shown, not lost; and the echo comes back, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import sys

import pexpect
import pytest

import support
from shell.conftest import Spawn
from shell.fake_daemon import HOLD, Answer, FakeDaemon, answered
from support import Instance

_WAITS = """
import os, sys, time
from ingle_shell.keyboard import unechoed
try:
    with unechoed(0):
        print(os.getpid(), "waits", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""
_CRASHES = "from ingle_shell.keyboard import unechoed\nwith unechoed(0): print('waits', flush=True); input(); 1 / 0"


def echoes(child: pexpect.spawn[str], *, on: bool) -> None:
    """Wait until the terminal shows what is typed, or does not."""
    support.wait_until(lambda: bool(child.getecho()) == on)


def waiting(spawn: Spawn, instance: Instance, code: str = _WAITS, after: str = "cat") -> pexpect.spawn[str]:
    """A program that waits with the echo off, in a shell with job control that leaves the terminal alone."""
    (instance.root / "program.py").write_text(code)
    child = spawn(f"set -m; {sys.executable} program.py; echo left; {after}")
    child.expect_exact("waits")
    echoes(child, on=False)
    return child


@pytest.mark.parametrize("key", ["\x03", "\x1c", "\x1a"], ids=["interrupt", "quit", "stop"])
def test_the_echo_comes_back_by_a_key(spawn: Spawn, instance: Instance, key: str) -> None:
    child = waiting(spawn, instance)
    child.send(key)
    child.expect_exact("left")
    assert child.getecho()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_the_echo_comes_back_by_a_signal(spawn: Spawn, instance: Instance, number: int) -> None:
    (instance.root / "program.py").write_text(_WAITS)
    child = spawn(f"{sys.executable} program.py; echo ended with $?; cat")
    child.expect(r"(\d+) waits")
    assert isinstance(child.match, re.Match)
    echoes(child, on=False)
    os.kill(int(child.match[1]), number)
    child.expect_exact(f"ended with {128 + number}")
    assert child.getecho()


def test_the_echo_comes_back_by_a_crash(spawn: Spawn, instance: Instance) -> None:
    child = waiting(spawn, instance, _CRASHES)
    child.send("\n")
    child.expect_exact("ZeroDivisionError")
    child.expect_exact("left")
    assert child.getecho()


def test_stopped_and_gone_on_with_it_is_quiet_again(spawn: Spawn, instance: Instance) -> None:
    child = waiting(spawn, instance, after="read line; fg; echo over; cat")
    child.send("\x1a")
    child.expect_exact("left")
    assert child.getecho()
    child.send("\n")
    echoes(child, on=False)
    child.send("\x03")
    child.expect_exact("over")
    assert child.getecho()


def test_stopped_and_gone_on_with_in_the_background_it_leaves_the_terminal_alone(
    spawn: Spawn, instance: Instance
) -> None:
    code = _WAITS.replace("time.sleep(60)", "time.sleep(2)") + "print('done', flush=True)"
    child = waiting(spawn, instance, code, after="bg; wait; echo over; cat")
    child.send("\x1a")
    child.expect_exact("done")
    child.expect_exact("over")
    assert child.getecho()


def test_where_nothing_was_echoed_nothing_is(spawn: Spawn, instance: Instance) -> None:
    (instance.root / "program.py").write_text(_CRASHES)
    child = spawn(f"stty -echo; {sys.executable} program.py; echo left; cat")
    child.expect_exact("waits")
    child.send("\n")
    child.expect_exact("left")
    assert not child.getecho()


def test_without_a_terminal_nothing_is_done(instance: Instance) -> None:
    done = instance.run(sys.executable, "-c", _WAITS.replace("60", "0"))
    assert done.returncode == 0, done.stderr


# --- where it is used ---


def test_a_line_typed_while_an_answer_comes_is_shown_and_asked_behind_it(instance: Instance, spawn: Spawn) -> None:
    answers = {"second": "two", "": "word " * 80}
    rules = [{"kind": "chat", "match": match, "answer": answer} for match, answer in answers.items()]
    instance.script(rules=rules, token_delay_ms=20)
    instance.start()
    child = spawn("ask --plain")
    child.expect_exact("> ")
    child.send("first\r")
    child.expect_exact("word word")
    echoes(child, on=False)
    child.send("the second\r")
    child.expect_exact("tokens/s")
    assert "second" not in str(child.before)
    child.expect_exact("the second")
    child.expect_exact("two")


def test_a_command_is_looked_for_in_silence(daemon: FakeDaemon, spawn: Spawn) -> None:
    daemon.play("/ingle/ask", Answer([*answered("```\n").body[:2], HOLD]))
    child = spawn("trap : INT; ask -s --shell bash list; echo left; cat")
    child.expect_exact("looking for a command")
    echoes(child, on=False)
    child.send("abc\x03")
    child.expect_exact("left")
    assert "abc" not in str(child.before)
    assert child.getecho()
