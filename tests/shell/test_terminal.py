"""`ask` on a terminal: what is seen, what is stripped, and Ctrl-C. The daemon is real, its answers are scripted."""

from __future__ import annotations

import json
import re
import time

import pexpect

import support
from shell.conftest import Spawn
from shell.fake_daemon import HOLD, Answer, FakeDaemon, answered
from support import Instance


def answer_with(instance: Instance, answer: str, *, token_delay_ms: float = 0) -> None:
    rule = {"kind": "chat", "match": "", "answer": answer}
    instance.script(token_delay_ms=token_delay_ms, rules=[rule])


def seen(child: pexpect.spawn[str]) -> str:
    """All that is still to come, with the lines of a terminal made plain."""
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before).replace("\r\n", "\n")


def test_the_answer_and_then_a_dim_line_that_says_where_it_was_made(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "forty-two")
    child = spawn("ask how many?")
    output = seen(child)
    assert output.startswith("forty-two\n\x1b[2mscripted · local · 64 of 2,048 tokens")
    assert output.endswith("\x1b[0m\n")
    assert child.exitstatus == 0


def test_somebody_who_watches_is_told_what_takes_more_than_a_second(instance: Instance, spawn: Spawn) -> None:
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "42", "delay_ms": 1500}])
    output = seen(spawn("ask how many?", NO_COLOR="1"))
    assert re.match(r"(waiting for the model …\n)?reading \d+ tokens …\n42\n", output)
    assert "reading" not in seen(spawn("ask how many? 2>&1 | cat"))


def test_no_color_means_no_escape_sequence_at_all(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "forty-two")
    assert "\x1b" not in seen(spawn("ask how many?", NO_COLOR="1"))


def test_a_hostile_answer_cannot_reach_the_terminal(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "\x1b]0;owned\x07a\x1b[2J\x1b[Hb\x1b]52;c;cm0=\x1b\\c\x9b31md\rrm\x08")
    assert seen(spawn("ask go 2>/dev/null")) == "abcdrm\n"


def test_a_hostile_error_message_cannot_reach_the_terminal(spawn: Spawn, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer({"error": {"code": "api_failed", "message": "\x1b[2Jno\x1b]0;x\x07"}}, 502))
    child = spawn("ask go")
    assert seen(child) == "ask: no\n"
    assert child.exitstatus == 6


def test_an_escape_sequence_in_json_is_written_as_json_writes_it(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "\x1b[2Jno")
    assert json.loads(seen(spawn("ask --json go 2>/dev/null")))["answer"] == "\x1b[2Jno"


def test_no_question_where_no_dialogue_can_be_had_explains_itself(spawn: Spawn) -> None:
    child = spawn("ask > /dev/null")
    assert "there is no question" in seen(child)
    assert child.exitstatus == 2


def test_ctrl_c_ends_with_130_on_a_line_of_its_own(spawn: Spawn, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer([*answered("one two").body[:2], HOLD]))
    child = spawn("exec ask count")
    child.expect("one two")
    child.sendintr()
    output = seen(child)
    assert "Traceback" not in output
    assert output.endswith("\n")
    assert child.exitstatus == 130
    assert daemon.client_left.wait(10)


def test_ctrl_c_stops_the_generation_in_the_daemon(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "word " * 100_000, token_delay_ms=2)
    child = spawn("exec ask count")
    child.expect("word word")
    assert instance.call("GET", "/ingle/status")["requests"]["running"] == 1
    child.sendintr()
    seen(child)
    assert child.exitstatus == 130
    deadline = time.monotonic() + 10  # of its own it would take minutes
    while instance.call("GET", "/ingle/status")["requests"]["running"]:
        assert time.monotonic() < deadline


def test_ctrl_c_before_the_first_word_ends_quietly(spawn: Spawn, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer([HOLD]))
    child = spawn("exec ask --json count")
    assert daemon.asked.wait(10)
    child.sendintr()
    assert "Traceback" not in seen(child)
    assert child.exitstatus == 130


def test_a_daemon_that_is_killed_in_the_middle_is_reported(instance: Instance, spawn: Spawn) -> None:
    answer_with(instance, "word " * 100_000, token_delay_ms=2)
    child = spawn("exec ask count")
    child.expect("word word")
    support.kill(instance.pid)
    assert "ask: ingled ended while it answered" in seen(child)
    assert child.exitstatus == 3
