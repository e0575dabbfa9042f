"""Edits of the configuration under a running daemon: a good one counts, a bad one changes nothing and is told."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from typing import Any

import psutil
import pytest

import support
from ingle_daemon.config import Settings, parse
from ingle_daemon.errors import RefusedByPrivacy
from ingle_daemon.reload import Effect, effect
from provider import Provider, piece, stream
from support import Instance

QUESTION = {"messages": [{"role": "user", "content": "hello there"}]}


# --- what counts when -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", Effect()),
        ("", "offline = true", Effect(at_once=("offline",))),
        ("", "[budget]\nday = 1", Effect(at_once=("budget.day",))),
        ("", "[tasks]\ncommit = 'local'", Effect(at_once=("tasks.commit",))),
        ("[tasks]\ncommit = 'local'", "", Effect(at_once=("tasks.commit",))),
        ("", "[privacy]\nprivate = ['*.sql']", Effect(at_once=("privacy.private",))),
        ("", "[engine]\ncontext = 1024", Effect(at_load=("engine.context",))),
        ("", "[engine]\nqueue = 2", Effect(at_start=("engine.queue",))),
        ("", "[engine]\nurl = 'http://x/v1'", Effect(at_start=("engine.url",))),
        ("", "[server]\ntcp_port = 9", Effect(at_once=("server.tcp_port",))),
        ("[server]\ntcp_port = 9", "[server]\ntcp_port = 8", Effect(at_start=("server.tcp_port",))),
        ("[server]\ntcp_port = 9", "", Effect(at_start=("server.tcp_port",))),
        ("", "[server]\nmax_body_bytes = 9", Effect(at_start=("server.max_body_bytes",))),
    ],
)
def test_when_an_edit_counts(before: str, after: str, expected: Effect) -> None:
    assert effect(parse(before), parse(after)) == expected


def test_every_setting_of_the_engine_has_its_time() -> None:
    """One that is new counts at the next start, until somebody says otherwise: never silently not at all."""
    for name in type(Settings().engine).__struct_fields__:
        changed = parse("")
        engine = {**{field: getattr(changed.engine, field) for field in changed.engine.__struct_fields__}, name: None}
        found = effect(changed, Settings(engine=type(changed.engine)(**engine)))
        assert [name for part in (found.at_load, found.at_start) for name in part] == [f"engine.{name}"]
        assert not found.at_once


# --- edits ----------------------------------------------------------------------------------------------------------


def status(instance: Instance) -> dict[str, Any]:
    answer: dict[str, Any] = instance.call("GET", "/ingle/status")
    return answer


def until(instance: Instance, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    support.wait_until(lambda: bool(holds(status(instance))))
    return status(instance)


def budget(instance: Instance) -> Any:
    return instance.call("GET", "/ingle/ledger")["budget"]["day"]


def test_a_file_that_was_not_there_counts_when_it_comes(instance: Instance) -> None:
    instance.start()
    first = instance.pid
    instance.configure("offline = true\n[budget]\nday = 2.5\n")
    until(instance, lambda now: now["api"]["offline"])
    assert (budget(instance), instance.pid) == (2.5, first)


def test_a_file_that_goes_leaves_the_defaults(instance: Instance) -> None:
    instance.configure("offline = true\n")
    assert status(instance)["api"]["offline"]
    instance.config_file.unlink()
    until(instance, lambda now: not now["api"]["offline"])


def test_a_file_that_is_replaced_by_another_counts_each_time(instance: Instance) -> None:
    instance.start()
    for number in (1.0, 2.0, 3.0):
        instance.config_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = instance.config_file.with_name("fresh")
        fresh.write_text(f"[budget]\nday = {number}\n")
        fresh.replace(instance.config_file)
        support.wait_until(lambda wanted=number: budget(instance) == wanted)  # type: ignore[misc]


def test_a_link_is_followed_to_the_file_that_is_edited(instance: Instance) -> None:
    elsewhere = instance.root / "dotfiles/config.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text("")
    instance.config_file.parent.mkdir(parents=True)
    instance.config_file.symlink_to(elsewhere)
    instance.start()
    elsewhere.write_text("offline = true\n")
    until(instance, lambda now: now["api"]["offline"])


def test_a_bad_edit_changes_nothing_and_is_told_with_its_line_until_it_is_right(instance: Instance) -> None:
    instance.configure("[budget]\nday = 1.0\n")
    instance.start()
    instance.configure("[budget]\nday = 2.0\n[xyzzy-secret]\n")
    now = until(instance, lambda now: now["config_problem"])
    assert "config.toml:3: xyzzy-secret" in now["config_problem"]
    assert budget(instance) == 1.0
    told = instance.run("ingle", "status").stdout
    assert "config.toml:3" in told
    assert "what held before goes on" in told
    done = instance.run("ingle", "doctor", "--json")
    (found,) = (found for found in json.loads(done.stdout)["findings"] if found["name"] == "configuration")
    assert (found["level"], "ingled keeps what it had" in found["what"]) == ("problem", True)
    log = instance.log_file.read_text()
    assert f"{instance.config_file}:3" in log
    assert "xyzzy" not in log
    instance.configure("[budget]\nday = 2.0\n")
    until(instance, lambda now: not now["config_problem"])
    assert budget(instance) == 2.0


def test_an_edit_that_no_parser_takes_is_not_the_last_one_that_is_heard(instance: Instance) -> None:
    instance.configure("[budget]\nday = 1.0\n")
    instance.start()
    instance.configure(f"x = {'[' * 100_000}")
    until(instance, lambda now: now["config_problem"])
    instance.config_file.unlink()
    os.mkfifo(instance.config_file)
    until(instance, lambda now: "no regular file" in now["config_problem"])
    assert budget(instance) == 1.0
    instance.config_file.unlink()
    instance.configure("[budget]\nday = 2.0\n")
    until(instance, lambda now: not now["config_problem"])
    assert budget(instance) == 2.0


def test_what_only_a_start_reads_is_told_until_it_starts(instance: Instance) -> None:
    instance.start()
    instance.configure("[engine]\nqueue = 3\n")
    now = until(instance, lambda now: now["config_pending"]["at_start"])
    assert now["config_pending"] == {"at_load": [], "at_start": ["engine.queue"]}
    assert "settings  engine.queue: after `ingle stop`" in instance.run("ingle", "status").stdout
    instance.run("ingle", "stop")
    assert status(instance)["config_pending"] == {"at_load": [], "at_start": []}


def test_a_port_is_opened_at_once_and_one_that_is_taken_is_told(instance: Instance) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        instance.start()
        instance.configure(f"[server]\ntcp_port = {port}\n")
        until(instance, lambda now: f"TCP port {port} is taken" in now["config_problem"])
    instance.configure(f"[server]\ntcp_port = {port}\n\n[budget]\nday = 1.0\n")
    until(instance, lambda now: now["tcp"])


def test_texts_are_forgotten_when_they_are_to_be_kept_no_more(instance: Instance) -> None:
    instance.configure("[completion]\nkeep_text = true\n")
    instance.call("POST", "/ingle/outcomes", [{"id": "1", "kind": "shown", "text": "xyzzy"}])
    journal = instance.log_file.with_name("journal.sqlite")
    assert b"xyzzy" in b"".join(file.read_bytes() for file in journal.parent.glob("journal.sqlite*"))
    instance.configure("[completion]\nkeep_text = false\n")

    def forgotten() -> bool:
        with sqlite3.connect(journal) as connection:
            return bool(connection.execute("SELECT count(*) FROM completions WHERE text <> ''").fetchone() == (0,))

    support.wait_until(forgotten)


# --- what is being answered -----------------------------------------------------------------------------------------


async def test_a_running_request_ends_by_its_own_settings_and_the_next_one_has_the_new(instance: Instance) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        await stream(piece("said", "stop"), "data: [DONE]")(writer)

    provider = Provider(slowly)
    async with provider.serve():
        api = f'[api]\nurl = "http://127.0.0.1:{provider.port}/v1"\nmodel = "m"\nallow = true\ncontext = 9000\n'
        instance.configure(f"{api}price_in = 1\nprice_out = 1\n")
        instance.env["NO_PROXY"] = "127.0.0.1"
        asking = asyncio.create_task(asyncio.to_thread(instance.run, "ask", "--api", "-n", "hello"))
        await asked.wait()
        instance.configure(f"offline = true\n{api}")
        await asyncio.to_thread(until, instance, lambda now: now["api"]["offline"])
        go_on.set()
        done = await asking
        assert (done.returncode, done.stdout) == (0, "said\n")
        refused = await asyncio.to_thread(instance.run, "ask", "--api", "-n", "hello")
    assert refused.returncode == RefusedByPrivacy.exit_code
    assert len(provider.bodies) == 1


@pytest.mark.model
def test_the_engine_is_loaded_anew_once_nothing_is_being_answered(real: Instance) -> None:
    real.call("POST", "/tokenize", {"content": "x"})
    daemon = real.pid
    before = until(real, lambda now: now["model"]["state"] == "ready")["model"]
    request = {**QUESTION, "max_tokens": 60}
    with real.stream("/ingle/ask", request) as events:
        follow = iter(events)
        next(event for event in follow if event["type"] == "delta")
        worker = psutil.Process(before["worker_pid"])
        worker.suspend()  # so that the answer is not at its end before the edit is heard of
        try:
            real.configure("[engine]\ncontext = 1024\n")
            now = until(real, lambda now: now["config_pending"]["at_load"])
            assert now["model"]["worker_pid"] == before["worker_pid"]
            assert "engine.context: when the model is loaded next" in real.run("ingle", "status").stdout
        finally:
            worker.resume()
        assert [event["type"] for event in follow][-1] == "done"
    after = until(real, lambda now: (now["model"].get("info") or {}).get("n_ctx") == 1024)
    assert after["config_pending"]["at_load"] == []
    assert after["model"]["worker_pid"] != before["worker_pid"]
    assert not psutil.pid_exists(before["worker_pid"])
    assert real.pid == daemon


def test_the_watch_ends_with_the_daemon(instance: Instance) -> None:
    instance.start()
    instance.configure("offline = true\n")
    until(instance, lambda now: now["api"]["offline"])
    process = psutil.Process(instance.pid)
    instance.run("ingle", "stop")
    process.wait(10)
    assert "Traceback" not in instance.log_file.read_text()
    assert not os.path.exists(instance.socket_file)  # noqa: PTH110
