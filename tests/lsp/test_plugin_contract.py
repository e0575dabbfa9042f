"""What docs/completion.md promises to plugins, with the real process, the real daemon and the scripted backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

import support
from lsp.editor import Editor, started, until_busy

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTOMATIC = lsp.InlineCompletionTriggerKind.Automatic
RULES: list[dict[str, Any]] = [
    {"kind": "infill", "match": r"def add\Z", "answer": "(a, b)", "others": ["(x)", "(y)", "(a, b)"]},
    {"kind": "infill", "match": r"ALIKE\Z", "answer": " = 1", "others": [" = 1"]},
    {"kind": "infill", "match": r"😋 = \Z", "answer": "'é😋' + one"},
    {"kind": "infill", "match": r"SLOW\Z", "answer": "done", "delay_ms": 600},
    {"kind": "infill", "match": r"MISSING\Z", "error": "no_model"},
]


@pytest.fixture(scope="module")
def scripted() -> Iterator[support.Instance]:
    instance = support.new_instance()
    instance.script(rules=RULES)
    instance.start()
    yield instance
    instance.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plugin(scripted: support.Instance) -> AsyncIterator[Editor]:
    async with started(scripted.env, wishes={"status": True, "shown": True}) as editor:
        yield editor


def id_of(item: lsp.InlineCompletionItem) -> str:
    assert item.command
    assert item.command.arguments
    return str(item.command.arguments[0])


async def fate(editor: Editor, completion: str) -> tuple[str, int]:
    """What `ingle.why` says became of it, and how many characters, once the server has told the daemon."""
    while True:
        for told in (await editor.command("ingle.why", 64))["completions"]:
            if told.get("id") == completion and "outcome" in told:
                return told["outcome"]["kind"], told["outcome"].get("characters", 0)


# --- choosing by hand ----------------------------------------------------------------------------------------------


async def test_asked_by_hand_there_is_a_choice(plugin: Editor) -> None:
    plugin.open("def add")
    items = await plugin.complete(0, 7)
    assert [item.insert_text for item in items] == ["def add(a, b)", "def add(y)"]  # the third is the first again
    assert len({id_of(item) for item in items}) == 2
    again = await plugin.complete(0, 7)
    assert [id_of(item) for item in again] == [id_of(item) for item in items]


async def test_while_typing_there_is_one(plugin: Editor) -> None:
    plugin.open("def add")
    assert await plugin.texts(0, 7, kind=AUTOMATIC) == ["def add(a, b)"]


async def test_what_the_editor_has_waited_is_not_waited_again(scripted: support.Instance) -> None:
    hour = 3_600_000
    async with started(scripted.env, options={"debounceMs": hour}, wishes={"waitedMs": hour}) as editor:
        editor.open("def add")
        assert await editor.texts(0, 7, kind=AUTOMATIC) == ["def add(a, b)"]


async def test_a_choice_that_is_begun_to_be_typed_stays(plugin: Editor) -> None:
    plugin.open("def add")
    _, other = await plugin.complete(0, 7)
    plugin.type(0, 7, "(y")
    (rest,) = await plugin.complete(0, 9, kind=AUTOMATIC)
    assert rest.insert_text == "def add(y)"
    assert id_of(rest) == id_of(other)


async def test_what_is_the_same_is_offered_once(plugin: Editor) -> None:
    plugin.open("ALIKE")
    assert await plugin.texts(0, 5) == ["ALIKE = 1"]


async def test_how_many_there_are_to_choose_from_is_a_setting(scripted: support.Instance) -> None:
    async with started(scripted.env, options={"candidates": 1}) as editor:
        editor.open("def add")
        assert len(await editor.complete(0, 7)) == 1


# --- what became of one --------------------------------------------------------------------------------------------


async def test_only_what_the_plugin_says_is_shown_counts_as_shown(plugin: Editor) -> None:
    plugin.open("def add")
    first, second = await plugin.complete(0, 7)
    plugin.notify("ingle/shown", id=id_of(second))
    assert await fate(plugin, id_of(second)) == ("shown", 3)
    told = (await plugin.command("ingle.why", 64))["completions"]
    assert ["outcome" in entry for entry in told if entry.get("id") == id_of(first)] == [False]


async def test_without_the_plugins_word_what_was_sent_counts_as_shown(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("def add")
        first, _ = await editor.complete(0, 7)
        assert await fate(editor, id_of(first)) == ("shown", 6)


async def test_what_was_dismissed_is_rejected(plugin: Editor) -> None:
    plugin.open("def add")
    (item,) = await plugin.complete(0, 7, kind=AUTOMATIC)
    plugin.notify("ingle/shown", id=id_of(item))
    plugin.notify("ingle/rejected", id=id_of(item))
    assert (await fate(plugin, id_of(item)))[0] == "rejected"


@pytest.mark.parametrize(("encoding", "length"), [("utf-8", 15), ("utf-16", 10), ("utf-32", 8)])
async def test_a_part_is_counted_in_the_editors_units(scripted: support.Instance, encoding: str, length: int) -> None:
    async with started(scripted.env, encoding=encoding) as editor:
        editor.open("😋 = ")
        column = {"utf-8": 7, "utf-16": 5, "utf-32": 4}[encoding]
        item = (await editor.complete(0, column, kind=AUTOMATIC))[0]
        editor.notify("ingle/partlyAccepted", id=id_of(item), acceptedLength=length)
        assert await fate(editor, id_of(item)) == ("partly", 4)  # 'é😋'


async def test_parts_add_up_and_the_rest_is_the_same_completion(plugin: Editor) -> None:
    plugin.open("def add")
    (item,) = await plugin.complete(0, 7, kind=AUTOMATIC)
    plugin.type(0, 7, "(a")
    plugin.notify("ingle/partlyAccepted", id=id_of(item), acceptedLength=9)
    (rest,) = await plugin.complete(0, 9, kind=AUTOMATIC)
    assert id_of(rest) == id_of(item)
    plugin.type(0, 9, ",")
    plugin.notify("ingle/partlyAccepted", id=id_of(item), acceptedLength=10)
    assert await fate(plugin, id_of(item)) == ("partly", 3)
    plugin.type(0, 10, "x")
    await plugin.complete(0, 11)
    assert await fate(plugin, id_of(item)) == ("partly", 3), "what was partly taken is not rejected"


async def test_an_accepted_one_may_be_told_of_after_the_next_request(plugin: Editor) -> None:
    plugin.open("def add")
    (item,) = await plugin.complete(0, 7, kind=AUTOMATIC)
    plugin.type(0, 7, "(a, b)")
    await plugin.complete(0, 13, kind=AUTOMATIC)
    await plugin.command("ingle.accepted", id_of(item))
    assert await fate(plugin, id_of(item)) == ("accepted", 6)


@pytest.mark.parametrize("params", [{}, {"id": 3}, {"id": "no such"}, {"id": "x", "acceptedLength": "all"}])
@pytest.mark.parametrize("method", ["ingle/shown", "ingle/partlyAccepted", "ingle/rejected"])
async def test_what_makes_no_sense_is_passed_over(plugin: Editor, method: str, params: dict[str, object]) -> None:
    plugin.notify(method, **params)
    plugin.open("def add")
    assert await plugin.complete(0, 7)


# --- commands and the status ---------------------------------------------------------------------------------------


async def test_the_commands_are_advertised(plugin: Editor) -> None:
    assert plugin.answer
    provider = plugin.answer.capabilities.execute_command_provider
    assert provider
    assert {"ingle.accepted", "ingle.enable", "ingle.disable", "ingle.status", "ingle.why"} <= set(provider.commands)


async def test_it_can_be_turned_off_and_on(plugin: Editor) -> None:
    plugin.open("def add")
    await plugin.command("ingle.disable")
    assert (await plugin.status("off"))["state"] == "off"
    assert await plugin.complete(0, 7) == []
    await plugin.command("ingle.enable")
    await plugin.status("idle")
    assert await plugin.complete(0, 7)


async def test_a_setting_turns_it_off_too(scripted: support.Instance) -> None:
    async with started(scripted.env, options={"enabled": False}, wishes={"status": True}) as editor:
        editor.open("def add")
        await editor.status("off")
        assert await editor.complete(0, 7) == []


async def test_the_status_names_the_model_and_tells_of_what_takes_long(plugin: Editor) -> None:
    plugin.open("SLOW")
    assert (await plugin.status("idle"))["model"] == "scripted"
    asked = plugin.ask(0, 4, kind=AUTOMATIC)
    assert (await plugin.status("thinking"))["model"] == "scripted"
    assert await asked.items()
    await plugin.status("idle")


async def test_trouble_is_told_with_its_reason_and_ends_with_the_next_answer(scripted: support.Instance) -> None:
    async with started(scripted.env, wishes={"status": True}) as editor:
        editor.open("MISSING\ndef add")
        await editor.complete(0, 7)
        assert "no_model" in (await editor.status("error"))["reason"]
        await editor.complete(1, 7)
        assert (await editor.status("idle"))["reason"] == ""


async def test_a_daemon_that_is_away_is_offline_until_it_completes() -> None:
    instance = support.new_instance()
    instance.script(rules=RULES)
    try:
        async with started(instance.env, wishes={"status": True}) as editor:
            assert "first completion" in (await editor.status("offline"))["reason"]
            with pytest.raises(JsonRpcException, match="ingled"):
                await editor.command("ingle.why")
            assert await editor.command("ingle.status") == {**editor.statuses[-1], "daemon": None}
            editor.open("def add\nSLOW")
            assert await editor.complete(0, 7)
            assert await editor.status("idle")
            slow = editor.ask(1, 4)
            await until_busy(instance)
            instance.configure("engine = 3\n")
            support.kill(instance.pid)
            assert await slow.items() == []
            await editor.status("offline")
            await editor.complete(0, 7)
            assert "config.toml" in (await editor.status("error"))["reason"]
    finally:
        instance.configure("")
        instance.close()


async def test_who_did_not_wish_for_it_is_told_nothing(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        editor.open("def add")
        assert await editor.complete(0, 7)
        await editor.command("ingle.disable")
        assert editor.statuses == []
