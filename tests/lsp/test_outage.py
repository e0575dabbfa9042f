"""The daemon is away, dies, or has no model: said once, and over as soon as it is back."""

from __future__ import annotations

import os

import pytest

import support
from ingle_daemon import client
from lsp.editor import started, until_busy

RULES = [
    {"kind": "infill", "match": r"def add\Z", "answer": "(a, b)"},
    {"kind": "infill", "match": r"def sub\Z", "answer": "(a, b)"},
    {"kind": "infill", "match": r"MISSING\Z", "error": "no_model"},
    {"kind": "infill", "match": r"SLOW\Z", "answer": "never", "delay_ms": 60_000},
]


@pytest.fixture
def scripted(instance: support.Instance) -> support.Instance:
    instance.script(rules=RULES)
    return instance


async def test_the_first_keystroke_starts_the_daemon(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("def add")
        assert await editor.texts(0, 7) == ["def add(a, b)"]
        assert editor.shown == []


async def test_a_daemon_that_cannot_start_is_reported_once_and_used_once_it_can(
    scripted: support.Instance,
) -> None:
    scripted.configure("engine = 3\n")
    async with started(scripted.env) as editor:
        editor.open("def add")
        for _ in range(4):
            assert await editor.complete(0, 7) == []
        (message,) = editor.shown
        assert "config.toml:1" in message
        assert [log.message for log in editor.client.log_messages] == [message]
        scripted.configure("")
        scripted.start()
        assert await editor.texts(0, 7) == ["def add(a, b)"]


async def test_a_daemon_that_dies_is_started_again(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("def add\nSLOW\ndef sub")
        assert await editor.complete(0, 7)
        slow = editor.ask(1, 4)
        await until_busy(scripted)
        first = scripted.pid
        support.kill(first)
        assert await slow.items() == []
        assert await editor.texts(2, 7) == ["def sub(a, b)"]
        assert scripted.pid != first
        assert len(editor.shown) == 1


async def test_without_a_model_the_user_is_told_how_to_get_one(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("MISSING\ndef add")
        for _ in range(3):
            assert await editor.complete(0, 7) == []
        (message,) = editor.shown
        assert "`ask`" in message
        assert "`ingle model pull`" in message
        assert await editor.complete(1, 7)


async def test_a_fresh_installation_has_no_model(instance: support.Instance) -> None:
    del instance.env["INGLE_BACKEND"]
    async with started(instance.env) as editor:
        editor.open("def add")
        assert await editor.complete(0, 7) == []
        (message,) = editor.shown
        assert "`ingle model pull`" in message


async def test_the_daemon_outlives_the_editor_that_started_it(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("def add")
        assert await editor.complete(0, 7)
        pid = scripted.pid
        assert os.getpgid(pid) != os.getpgid(editor.pid)
    with scripted.active():
        assert (await client.acall("GET", "/ingle/status", autostart=False))["pid"] == pid
