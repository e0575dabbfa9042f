"""What can still be done: consent is asked for on a terminal, a broken answer is kept, and finished here on request."""

from __future__ import annotations

import json

import pytest

from shell.conftest import Spawn
from shell.fake_daemon import Answer, FakeDaemon, answered
from shell.test_terminal import seen
from support import Instance

MISSING = {
    "code": "refused_by_privacy", "message": "nothing may be sent to far.example yet",
    "consent": "far.example", "model": "big",
}  # fmt: skip
REFUSED = Answer({"error": MISSING}, 403)
BROKEN = Answer([
    {"type": "routed", "route": {"kind": "api", "model": "big", "reason": "asked for"}},
    {"type": "thinking", "text": "let me see"},
    {"type": "delta", "text": "Half an "},
    {"type": "failed", "error": {"code": "api_cut_off", "message": "the connection to far.example broke off"}},
])  # fmt: skip


@pytest.mark.parametrize(("reply", "sent"), [("y", True), ("n", False), ("", False)])
def test_consent_is_asked_for_once_on_a_terminal(daemon: FakeDaemon, spawn: Spawn, reply: str, sent: bool) -> None:
    daemon.play("/ingle/ask", REFUSED, answered("from afar"))
    daemon.play("/ingle/consent", Answer({"host": "far.example", "given": True}))
    child = spawn("ask --api hi")
    child.expect("to far.example .big.. .y/N.")
    child.sendline(reply)
    rest = seen(child)
    assert ("from afar" in rest) is sent
    assert daemon.bodies("/ingle/consent") == ([{"host": "far.example", "given": True}] if sent else [])
    assert child.exitstatus == (0 if sent else 8)


def test_a_script_is_never_asked(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", REFUSED)
    assert instance.run("ask", "--api", "hi").returncode == 8
    assert daemon.bodies("/ingle/consent") == []


def test_a_broken_answer_is_finished_here_on_request(daemon: FakeDaemon, spawn: Spawn) -> None:
    daemon.play("/ingle/ask", BROKEN, answered("answer."))
    child = spawn("ask --api hi")
    child.expect("Finish it with the local model. .Y/n.")
    child.sendline("")
    assert "answer." in seen(child)
    again = daemon.bodies("/ingle/ask")[1]
    assert again["route"] == "local"
    assert again["messages"][-2] == {"role": "assistant", "content": "Half an "}


def test_what_came_before_it_broke_off_is_kept(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", BROKEN)
    done = instance.run("ask", "--api", "hi")
    assert (done.returncode, done.stdout) == (6, "Half an \n")
    assert "let me see" in done.stderr
    told = json.loads(instance.run("ask", "--api", "--json", "hi").stdout)
    assert told["error"]["answer"] == "Half an "
