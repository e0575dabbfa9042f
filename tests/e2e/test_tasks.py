"""`[tasks]`: every front end names what its question is for, and the rule of the settings sends it there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lsprotocol import types as lsp

import support
from e2e.test_escalation import Provider, configure, serving
from lsp.editor import URI, started

FAILED = {"INGLE_SHELL": "bash", "INGLE_LAST_COMMAND": "sl -la", "INGLE_LAST_STATUS": "127"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as server:
        yield server


def send_away(instance: support.Instance, provider: Provider, task: str) -> None:
    configure(instance, provider, allow=True)
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "```\nls\n```"}])
    instance.configure(f'{instance.config_file.read_text()}[tasks]\n{task} = "api"\n')


@pytest.mark.parametrize(
    ("task", "argv", "environment"),
    [
        ("explain", ("-t", "explain"), {}),
        ("commit", ("-t", "commit"), {}),
        ("fix", ("--last",), FAILED),
        ("fix", ("-s", "--last"), FAILED),
        ("command", ("-s", "list files"), {}),
    ],
)
def test_what_ask_is_for_decides_where_it_goes(
    instance: support.Instance, provider: Provider, task: str, argv: tuple[str, ...], environment: dict[str, str]
) -> None:
    send_away(instance, provider, task)
    done = instance.run("ask", *argv, input="some text", env=environment)
    assert f"asking far/model (api): [tasks] sends {task} there" in done.stderr
    assert instance.call("GET", "/ingle/ledger")["receipts"][0]["task"] == task


def test_a_plain_question_is_for_nothing_in_particular(instance: support.Instance, provider: Provider) -> None:
    send_away(instance, provider, "command")
    assert instance.run("ask", "list files").returncode == 0
    assert provider.requests == []


@pytest.mark.asyncio
async def test_an_editors_action_is_a_task_of_its_name(instance: support.Instance, provider: Provider) -> None:
    send_away(instance, provider, "explain")
    instance.start()
    async with started(instance.env, able=True) as editor:
        editor.open("x = 1\n")
        for name, shown in (("explain", "from afar"), ("docstring", None)):
            await editor.client.workspace_execute_command_async(
                lsp.ExecuteCommandParams(command="ingle.act", arguments=[name, URI, [0, 0, 0, 5], ""])
            )
            assert shown is None or editor.shown[-1] == shown
    assert len(provider.requests) == 1
