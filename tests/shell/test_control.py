"""`ingle …` against a real daemon with the scripted backend."""

from __future__ import annotations

import fcntl
import json
import os
import signal

import pytest

from ingle_daemon import __version__
from shell.fake_daemon import Answer, FakeDaemon
from support import Instance


def test_status_without_a_daemon_says_so_and_starts_none(instance: Instance) -> None:
    done = instance.run("ingle", "status")
    assert done.returncode == 3
    assert "ingled is not running" in done.stderr
    assert not instance.socket_file.exists()


def test_status_as_json_without_a_daemon_is_an_error_object(instance: Instance) -> None:
    done = instance.run("ingle", "status", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] == "daemon_unreachable"


def test_status_reads_for_people_and_for_programs(instance: Instance) -> None:
    instance.run("ask", "hello")
    status = json.loads(instance.run("ingle", "status", "--json").stdout)
    assert status["pid"] == instance.pid
    assert status["version"] == __version__
    text = instance.run("ingle", "status").stdout
    assert f"process {instance.pid}" in text
    assert "requests  none" in text


def test_stop_waits_until_the_daemon_is_gone(instance: Instance) -> None:
    instance.run("ask", "hello")
    lock = instance.socket_file.with_name("ingled.lock")
    with lock.open("rb") as held, pytest.raises(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    done = instance.run("ingle", "stop")
    assert (done.returncode, done.stdout) == (0, "ingled is stopped\n")
    with lock.open("rb") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_stop_without_a_daemon_is_no_error(instance: Instance) -> None:
    done = instance.run("ingle", "stop")
    assert (done.returncode, done.stdout) == (0, "ingled is not running\n")


def test_ask_starts_the_daemon_that_stop_ended(instance: Instance) -> None:
    assert instance.run("ask", "hello").stdout == "You said: hello\n"
    instance.run("ingle", "stop")
    assert instance.run("ask", "again").stdout == "You said: again\n"


def test_serve_prints_the_address_and_token_the_token(instance: Instance) -> None:
    done = instance.run("ingle", "serve", "--tcp", "0")
    assert done.returncode == 0
    assert done.stdout.startswith("http://127.0.0.1:")
    assert done.stdout.endswith("/v1\n")
    first, second = (instance.run("ingle", "token").stdout for _ in range(2))
    assert first == second
    assert len(first.strip()) >= 32


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none_is_a_usage_error(instance: Instance, port: str) -> None:
    done = instance.run("ingle", "serve", f"--tcp={port}")
    assert done.returncode == 2
    assert "port (0 to 65535)" in done.stderr


def test_no_model_is_installed_at_first(instance: Instance) -> None:
    assert "ingle model pull" in instance.run("ingle", "model", "list").stdout
    assert json.loads(instance.run("ingle", "model", "list", "--json").stdout)["installed"] == []


def test_an_unknown_model_is_refused(instance: Instance) -> None:
    for verb in ("pull", "use"):
        done = instance.run("ingle", "model", verb, "no-such-model")
        assert done.returncode in (2, 4)
        assert "no-such-model" in done.stderr


def test_use_says_what_is_used_now(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/models/use", Answer({"current": "small"}))
    assert instance.run("ingle", "model", "use", "small").stdout == "using small\n"
    assert daemon.bodies("/ingle/models/use") == [{"model": "small"}]


@pytest.mark.parametrize(
    ("line", "usage", "commands"),
    [
        (["ingle"], "usage: ingle [", {"status", "model", "bench"}),
        (["ingle", "model"], "usage: ingle model [", {"list", "pull", "rm"}),
        (["ingle", "key"], "usage: ingle key [", {"set", "list", "rm"}),
    ],
)
def test_no_command_is_a_usage_error_and_the_commands_are_told(
    instance: Instance, line: list[str], usage: str, commands: set[str]
) -> None:
    done = instance.run(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(usage)
    assert commands <= set(done.stderr.split())


def test_an_unknown_option_is_refused_with_the_commands_own_usage(instance: Instance) -> None:
    done = instance.run("ingle", "service", "install", "--nope")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ingle service install [-h]")
    assert done.stderr.endswith("ingle service install: error: unrecognized arguments: --nope\n")


@pytest.mark.parametrize("command", ["ask", "ingle"])
def test_the_version_is_told(instance: Instance, command: str) -> None:
    assert instance.run(command, "--version").stdout == f"{command} {__version__}\n"


@pytest.mark.parametrize("command", ["status", "stop", "stats"])
def test_a_daemon_that_is_stopped_is_not_waited_for_in_silence(instance: Instance, command: str) -> None:
    instance.script(rules=[])
    instance.start()
    pid = instance.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        done = instance.run("ingle", command)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 3
    assert "does not answer" in done.stderr
    assert "kill -CONT" in done.stderr


def test_what_is_hidden_from_a_provider_is_told_in_words(instance: Instance, daemon: FakeDaemon) -> None:
    letter = {"url": "https://far.example/", "sha256": "0", "body": "{}", "redactions": {"keyword": 1, "path": 2}}
    route = {"kind": "api", "model": "far", "reason": "asked for", "rule": "api"}
    daemon.play("/ingle/route", Answer({"route": route, "facts": {}, "letter": letter}))
    (instance.root / "q.txt").write_text("why?")
    assert "hidden    1 keyword, 2 path\n" in instance.run("ingle", "route", "--dry-run", "q.txt").stdout
    gone = instance.run("ingle", "route", "--dry-run", "nosuch")
    assert gone.stderr.startswith("ingle: cannot read nosuch: No such file or directory\n")


def test_a_machine_without_a_keyring_says_so(instance: Instance) -> None:
    instance.env["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    done = instance.run("ingle", "key", "set", "mine", input="sk-1")
    assert done.returncode == 2
    assert done.stderr.startswith("ingle: there is no keyring here\n")
