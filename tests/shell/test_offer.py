"""A larger model is offered for a doubted answer: one key, on a terminal, and nothing else is taken from the user."""

from __future__ import annotations

from typing import Any

import pexpect
import pytest

from shell.conftest import Spawn
from shell.fake_daemon import Answer, FakeDaemon, answered
from shell.test_terminal import seen
from support import Instance

JUDGEMENT: dict[str, Any] = {
    "confidence": 0.34,
    "threshold": 0.5,
    "reasons": ["guessed words", "repeats itself"],
    "rule": "doubted",
    "offer": {"model": "far/model", "host": "far.example", "estimate": 0.0003},
}
DOUBTED = Answer([
    {"type": "routed", "route": {"kind": "local", "model": "tiny", "reason": "it fits"}, "conversation": 7},
    {"type": "delta", "text": "forty"},
    {"type": "done", "reason": "end", "judgement": JUDGEMENT},
])  # fmt: skip
AFAR = Answer([
    {"type": "routed", "route": {"kind": "api", "model": "far/model", "reason": "escalated, confidence 0.34"}},
    {"type": "delta", "text": "forty-two"},
    {"type": "done", "reason": "end", "usage": {"prompt_tokens": 9, "completion_tokens": 2, "cost": 0.0001}},
])  # fmt: skip
OFFER = "any other key: keep "


@pytest.fixture
def doubting(daemon: FakeDaemon) -> FakeDaemon:
    daemon.play("/ingle/ask", DOUBTED, AFAR)
    daemon.play("/ingle/answers", Answer({}))
    return daemon


def ask(spawn: Spawn, line: str = "exec ask hi", **options: Any) -> pexpect.spawn[str]:
    child = spawn(line, **options)
    child.expect_exact(OFFER)
    return child


def test_the_offer_says_how_sure_why_who_and_for_how_much(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = ask(spawn)
    said = "Not sure of this (34%: guessed words, repeats itself). [a] ask far/model (at most $0.0003)"
    assert said in " ".join(str(child.before).split())
    child.send("x")
    seen(child)


def test_one_key_asks_the_larger_model_with_the_draft(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = ask(spawn)
    child.send("a")
    assert "forty-two" in seen(child)
    assert child.exitstatus == 0
    first, again = doubting.bodies("/ingle/ask")
    assert again["route"] == "api"
    assert again["draft"] == {"text": "forty", "confidence": 0.34, "reasons": ["guessed words", "repeats itself"]}
    assert again["messages"] == first["messages"]
    assert again["id"] == first["id"]
    assert again["keep"] == {"terminal": first["keep"]["terminal"], "conversation": 7, "switch": True}


@pytest.mark.parametrize("key", ["\r", "q", "\x1b", "\x03", "\x1b[A"])
def test_every_other_key_keeps_the_answer(doubting: FakeDaemon, spawn: Spawn, key: str) -> None:
    child = ask(spawn)
    child.send(key)
    assert "forty-two" not in seen(child)
    assert child.exitstatus == 0
    (body,) = doubting.bodies("/ingle/ask")
    assert doubting.bodies("/ingle/answers") == [{"id": body["id"], "fate": "declined"}]


def test_only_that_key_is_taken(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = ask(spawn, "ask hi; read line; echo got $line")
    child.send("xecho hello\r")
    assert "got echo hello" in seen(child)


def test_what_was_typed_ahead_is_left_for_the_shell_and_nobody_is_asked(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = spawn("read line; ask hi; read more; echo got $more")
    child.send("go\nls -l\n")
    output = seen(child)
    assert OFFER not in output
    assert "got ls -l" in output
    assert "not sure of this (34%" in output


@pytest.mark.parametrize(
    "line", ["ask hi | cat", "ask hi > answer", "ask hi 2> notes", "ask --json hi", "ask hi < /dev/null | cat"]
)
def test_nobody_is_asked_where_output_goes_elsewhere(doubting: FakeDaemon, spawn: Spawn, line: str) -> None:
    child = spawn(line)
    assert OFFER not in seen(child)
    assert len(doubting.bodies("/ingle/ask")) == 1


def test_in_the_background_nobody_is_asked_and_nothing_stops(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = spawn("set -m; ask hi & wait $!; echo ended $?")
    assert "ended 0" in seen(child)


def test_what_is_piped_in_is_the_question_and_the_terminal_the_answer(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = ask(spawn, "echo text | ask hi")
    child.send("a")
    assert "forty-two" in seen(child)


def test_a_doubt_without_an_offer_is_only_told(instance: Instance, daemon: FakeDaemon, spawn: Spawn) -> None:
    judgement = {name: value for name, value in JUDGEMENT.items() if name != "offer"}
    daemon.play("/ingle/ask", answered("forty", judgement=judgement))
    child = spawn("ask hi")
    output = seen(child)
    assert "not sure of this (34%: guessed words, repeats itself)" in output
    assert OFFER not in output


def test_a_believed_answer_is_not_spoken_of(daemon: FakeDaemon, spawn: Spawn) -> None:
    daemon.play("/ingle/ask", answered("four", judgement={"confidence": 0.9, "threshold": 0.5}))
    assert "sure" not in seen(spawn("ask hi"))


def test_the_model_of_an_offer_cannot_reach_the_terminal(daemon: FakeDaemon, spawn: Spawn) -> None:
    hostile = {**JUDGEMENT, "offer": {"model": "far\x1b[2J", "host": "x"}, "reasons": ["a\x1b]0;owned\x07b"]}
    daemon.play("/ingle/ask", answered("forty", judgement=hostile))
    daemon.play("/ingle/answers", Answer({}))
    child = ask(spawn)
    assert "\x1b[2J" not in str(child.before)
    assert "\x1b]0" not in str(child.before)
    child.send("q")
    seen(child)


def test_in_the_dialogue_the_offer_comes_before_the_next_prompt(doubting: FakeDaemon, spawn: Spawn) -> None:
    child = spawn("ask --plain")
    child.expect_exact("> ")
    child.sendline("hi")
    child.expect_exact(OFFER)
    child.send("a")
    child.expect_exact("forty-two")
    child.expect_exact("> ")
    child.sendeof()
    seen(child)
    assert doubting.bodies("/ingle/ask")[1]["keep"]["conversation"] == 7
