"""Conversations through what ends a daemon in the middle of a write: kill -9 at any moment, and a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import support
from ingle_daemon import client
from ingle_daemon.errors import DaemonUnreachable

ANSWER = "".join(f"{number} " for number in range(40))


@pytest.fixture(scope="module")
def scripted() -> Iterator[support.Instance]:
    made = support.new_instance()
    made.script(rules=[{"kind": "chat", "match": "", "answer": ANSWER}], context=100_000)
    yield made
    made.close()


def request(question: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"messages": messages, "max_tokens": 9000, "keep": {"terminal": "t"}}


def turns_of(instance: support.Instance, question: str) -> list[dict[str, Any]]:
    conversations = instance.call("GET", "/ingle/conversations?n=999")
    numbers = [info["id"] for info in conversations if info["title"] == question]
    return [turn for number in numbers for turn in instance.call("GET", f"/ingle/conversations/{number}")["turns"]]


@contextmanager
def killed_after(instance: support.Instance, seconds: float) -> Iterator[None]:
    """The daemon gets kill -9 so long after now; it is gone when the block ends."""
    pid = instance.pid
    timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.join()
        instance.wait_until_gone()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.floats(0, 0.06), many=st.integers(1, 3))
def test_kill_9_at_any_moment_loses_nothing_but_what_had_not_come(
    scripted: support.Instance, seconds: float, many: int
) -> None:
    """Several ask until the daemon is killed. What a client has seen is on disk afterwards, whole or as a part."""
    scripted.start()
    seen: dict[str, list[dict[str, Any]]] = {}

    def ask_on(name: str) -> None:
        for number in range(1000):
            question = f"{name} {number}"
            try:
                for event in client.stream("/ingle/ask", request(question), autostart=False):
                    seen.setdefault(question, []).append(event)
            except DaemonUnreachable:
                return

    with scripted.active():
        began = f"{time.monotonic_ns()}"
        threads = [threading.Thread(target=ask_on, args=(f"{began} {number}",)) for number in range(many)]
        with killed_after(scripted, seconds):
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()
    for question, events in seen.items():
        (turn,) = turns_of(scripted, question)
        text = "".join(event.get("text", "") for event in events)
        assert turn["question"] == question
        assert turn["answer"].startswith(text)
        assert ANSWER.startswith(turn["answer"])
        if events[-1]["type"] == "done":
            assert (turn["answer"], turn["ended"]) == (ANSWER, "end")
        else:
            assert turn["ended"] in ("end", "killed")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny tmpfs takes root")
def test_a_full_disk_costs_the_keeping_not_the_answer() -> None:
    instance = support.new_instance()
    long = {"kind": "chat", "match": "much", "answer": "word " * 3000}
    instance.script(rules=[long, {"kind": "chat", "match": "", "answer": "4"}], context=1_000_000)
    state = Path(instance.xdg["XDG_STATE_HOME"])
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(state)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        list(instance.stream("/ingle/ask", request("how many?")))
        events = list(instance.stream("/ingle/ask", request("how much?")))
        assert "".join(event.get("text", "") for event in events).split() == ["word"] * 3000
        assert "full" in events[-1]["unkept"]
        assert [turn["ended"] for turn in turns_of(instance, "how many?")] == ["end"]
        instance.kill()
        subprocess.run(["mount", "-o", "remount,size=30m", str(state)], check=True)
        (part,) = turns_of(instance, "how much?")
        assert part["ended"] == "killed"
        assert part["answer"].startswith("word word")
    finally:
        instance.close()
        subprocess.run(["umount", "--lazy", str(state)], check=True)
