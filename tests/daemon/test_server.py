"""The daemon's life: one for many clients, its socket, its lock, its doors, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import support
from ingle_daemon import client
from ingle_daemon.errors import DaemonUnreachable, DoesNotFit, IngleError, NoModel, UsageError
from ingle_daemon.knocking import MOST

QUESTION = {"messages": [{"role": "user", "content": "hello there"}]}


def daemons_of(instance: support.Instance) -> list[psutil.Process]:
    """The daemon processes that live in this instance's directories."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        if "ingle_daemon.server" in command and environment.get("HOME") == str(instance.root):
            found.append(process)
    return found


def answer_of(events: Any) -> str:
    return "".join(event["text"] for event in events if event["type"] == "delta")


def test_twenty_clients_at_once_start_one_daemon_and_get_twenty_answers(instance: support.Instance) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda i: instance.run("ask", f"number {i}"), range(20)))
    assert [(run.returncode, run.stdout) for run in done] == [(0, f"You said: number {i}\n") for i in range(20)]
    assert len(daemons_of(instance)) == 1


def test_socket_and_its_directory_are_private(instance: support.Instance) -> None:
    instance.start()
    assert stat.S_IMODE(instance.socket_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(instance.socket_file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(instance.log_file.stat().st_mode) == 0o600


def test_a_killed_daemon_is_replaced_over_its_stale_socket(instance: support.Instance) -> None:
    instance.start()
    first = psutil.Process(instance.pid)
    first.kill()
    first.wait(10)
    assert instance.socket_file.exists()
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"
    assert instance.pid != first.pid


def test_stop_ends_it_and_leaves_no_socket(instance: support.Instance) -> None:
    instance.start()
    process = psutil.Process(instance.pid)
    assert instance.call("POST", "/ingle/stop") == {"stopping": True}
    process.wait(10)
    assert not instance.socket_file.exists()


def test_sigterm_ends_it_cleanly_while_it_streams(instance: support.Instance) -> None:
    instance.script(token_delay_ms=50, rules=[{"kind": "chat", "match": "", "answer": "word " * 200}])
    events = iter(instance.stream("/ingle/ask", QUESTION))
    next(event for event in events if event["type"] == "delta")
    process = psutil.Process(instance.pid)
    process.terminate()
    with pytest.raises(DaemonUnreachable, match="ended while it answered"):
        list(events)
    process.wait(10)
    assert not instance.socket_file.exists()


def test_a_client_that_comes_right_after_stop_waits_for_the_lock(instance: support.Instance) -> None:
    instance.start()
    first = instance.pid
    instance.call("POST", "/ingle/stop")
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"
    assert instance.pid != first


def test_a_second_daemon_leaves_the_first_alone(instance: support.Instance) -> None:
    instance.start()
    done = instance.run("ingled", timeout=20)
    assert done.returncode == 0
    assert len(daemons_of(instance)) == 1


def test_two_isolated_instances_run_side_by_side(instance: support.Instance) -> None:
    other = support.new_instance(INGLE_BACKEND="scripted")
    try:
        instance.start()
        other.start()
        assert instance.pid != other.pid
    finally:
        other.close()


def test_without_xdg_runtime_dir_the_socket_stands_in_the_state_directory(instance: support.Instance) -> None:
    del instance.env["XDG_RUNTIME_DIR"]
    done = instance.run("ask", "hello")
    try:
        assert done.stdout == "You said: hello\n"
        assert (Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/run/ingled.sock").is_socket()
    finally:
        instance.run("ingle", "stop")


def test_a_broken_configuration_is_told_to_the_client_that_starts_it(instance: support.Instance) -> None:
    instance.configure("[engine]\ncontext = 'large'\n")
    with pytest.raises(UsageError, match=r"config\.toml:2: engine\.context: Expected `int`"):
        instance.start()


@pytest.mark.parametrize("model", ["mine.gguf", "./mine.gguf", "~/mine.gguf"])
def test_a_model_file_is_looked_for_where_the_client_stands(instance: support.Instance, model: str) -> None:
    done = instance.run("ask", "hi", env={"INGLE_BACKEND": "local", "INGLE_MODEL": model})
    assert f"there is no file {instance.root / 'mine.gguf'}" in done.stderr
    assert done.returncode == NoModel.exit_code


def test_the_log_holds_no_word_of_the_user(instance: support.Instance) -> None:
    secret = {"messages": [{"role": "user", "content": "xyzzy-sesame"}]}
    list(instance.stream("/ingle/ask", secret))
    with pytest.raises(UsageError):
        instance.call("POST", "/infill", {"n_predict": "xyzzy-sesame"})
    instance.call("POST", "/infill", {"input_prefix": "xyzzy-sesame"})
    log = instance.log_file.read_text()
    assert "listening" in log
    assert "xyzzy" not in log
    assert all(json.loads(line) for line in log.splitlines())


# --- what it says of its requests ----------------------------------------------------------------------------------


def test_metrics_count_what_went_through_the_socket(instance: support.Instance) -> None:
    list(instance.stream("/ingle/ask", QUESTION))
    instance.call("POST", "/infill", {"input_prefix": "x"})
    answer = raw_request(instance, b"GET /metrics HTTP/1.0\r\n\r\n").decode()
    assert answer.startswith("HTTP/1.1 200")
    assert "content-type: text/plain; version=" in answer
    assert 'ingle_requests_total{outcome="end",priority="ask"} 1.0' in answer
    assert 'ingle_requests_total{outcome="end",priority="completion"} 1.0' in answer
    assert 'ingle_tokens_generated_total{priority="ask"} 8.0' in answer


def test_status_lists_the_last_requests_without_their_text(instance: support.Instance) -> None:
    list(instance.stream("/ingle/ask", QUESTION))
    status = instance.call("GET", "/ingle/status")
    (record,) = status["last"]
    assert (record["priority"], record["reason"], record["generated"]) == ("ask", "end", 8)
    assert record["predicted_ms"] >= 0
    assert "hello" not in json.dumps(status)


# --- bad requests --------------------------------------------------------------------------------------------------


def raw_request(instance: support.Instance, request: bytes) -> bytes:
    """Send bytes as they are; everything that comes back."""
    instance.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(instance.socket_file))
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_malformed_json_is_a_400_that_says_so(instance: support.Instance) -> None:
    body = b'{"messages": [}'
    head = b"POST /ingle/ask HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = raw_request(instance, head + body)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"JSON is malformed" in answer


def test_a_request_without_a_host_is_told_the_path_that_it_asked_for(instance: support.Instance) -> None:
    assert b"nothing at /nowhere" in raw_request(instance, b"GET /nowhere HTTP/1.0\r\n\r\n")
    assert b"what /infill takes" in raw_request(instance, b"POST /infill HTTP/1.0\r\nContent-Length: 1\r\n\r\n[")


@pytest.mark.parametrize("query", ["why?n=x", f"why?n={'9' * 5000}", f"stats?days={'9' * 20}", "stats?days=-1"])
def test_a_number_that_is_none_or_too_large_in_a_query_is_refused(instance: support.Instance, query: str) -> None:
    with pytest.raises(UsageError) as refused:
        instance.call("GET", f"/ingle/{query}")
    assert "It is a number of at most" in refused.value.hint


def test_garbage_instead_of_http_does_not_disturb_it(instance: support.Instance) -> None:
    assert raw_request(instance, b"\x16\x03\x01 what is this\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"


def test_unknown_paths_and_methods_are_answered_in_json(instance: support.Instance) -> None:
    with pytest.raises(IngleError, match="nothing at /nowhere"):
        instance.call("GET", "/nowhere")
    with pytest.raises(UsageError, match="does not take GET"):
        instance.call("GET", "/infill")


def test_a_50_mb_question_is_refused_with_the_numbers(instance: support.Instance) -> None:
    question = {"messages": [{"role": "user", "content": "x " * 25_000_000}]}
    with pytest.raises(DoesNotFit) as refused:
        list(instance.stream("/ingle/ask", question))
    assert refused.value.exit_code == 5
    assert refused.value.details["n_prompt_tokens"] == 50_000_000
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"


def test_a_body_over_the_limit_is_refused_before_it_is_read(instance: support.Instance) -> None:
    instance.configure("[server]\nmax_body_bytes = 1000000\n")
    with pytest.raises(DoesNotFit, match=r"ingled takes 1,000,000"):
        instance.call("POST", "/infill", {"input_prefix": "x" * 2_000_000})


# --- the TCP door --------------------------------------------------------------------------------------------------


def fetch(url: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.load(exc)


@pytest.fixture
def door(instance: support.Instance) -> tuple[str, str]:
    """The TCP door's base URL and token."""
    url = instance.call("POST", "/ingle/serve", {"port": 0})["url"]
    return url, instance.call("GET", "/ingle/token")["token"]


def test_tcp_answers_who_has_the_token(door: tuple[str, str]) -> None:
    url, token = door
    status, models = fetch(f"{url}/models", Authorization=f"Bearer {token}")
    assert (status, models["data"][0]["id"]) == (200, "scripted")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic {token}"])
def test_tcp_refuses_who_has_not(door: tuple[str, str], header: str) -> None:
    url, token = door
    status, answer = fetch(f"{url}/models", Authorization=header.format(token=token))
    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")


def test_tcp_serves_metrics_to_who_has_the_token_only(door: tuple[str, str]) -> None:
    url, token = door
    request = urllib.request.Request(url.removesuffix("/v1") + "/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b"ingle_requests_running" in answer.read()
    status, refusal = fetch(request.full_url)
    assert (status, refusal["error"]["code"]) == (401, "invalid_api_key")


def test_tcp_refuses_a_foreign_host_even_with_the_token(door: tuple[str, str]) -> None:
    url, token = door
    status, answer = fetch(f"{url}/models", Authorization=f"Bearer {token}", Host="evil.example:80")
    assert (status, answer["error"]["code"]) == (403, "refused_by_privacy")


def test_tcp_does_not_serve_ingles_own_shape(door: tuple[str, str]) -> None:
    url, token = door
    status, _ = fetch(url.removesuffix("/v1") + "/ingle/token", Authorization=f"Bearer {token}")
    assert status == 404


def _connection(url: str) -> socket.socket:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def test_who_says_half_a_word_at_the_tcp_door_is_not_waited_for(door: tuple[str, str]) -> None:
    with _connection(door[0]) as stranger:
        stranger.sendall(b"GET /v1/models HTTP/1.1\r\nHo")
        assert stranger.recv(1) == b""


def test_strangers_at_the_tcp_door_keep_nobody_from_the_socket(
    instance: support.Instance, door: tuple[str, str]
) -> None:
    """Anybody on the machine can connect, and every connection takes a descriptor of the daemon's."""
    daemon = psutil.Process(instance.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(MOST + 100):
            knocking = stack.enter_context(_connection(door[0]))
            knocking.sendall(b"GET /v1/models HTTP/1.1\r\nHo")
        assert instance.call("GET", "/ingle/status")["tcp"]
        assert len([c for c in daemon.net_connections("tcp") if c.status == "ESTABLISHED"]) <= MOST
    assert instance.call("GET", "/ingle/status")["tcp"], "by now it has seen them leave"
    assert fetch(f"{door[0]}/models", Authorization=f"Bearer {door[1]}")[0] == 200


def test_who_is_refused_at_the_tcp_door_is_hung_up_on(door: tuple[str, str]) -> None:
    with _connection(door[0]) as stranger:
        stranger.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9999\r\n\r\nx")
        answer = b""
        while part := stranger.recv(4096):
            answer += part
    assert b"names another machine" in answer


def test_tcp_listens_on_loopback_only(instance: support.Instance, door: tuple[str, str]) -> None:
    port = int(door[0].split(":")[2].split("/")[0])
    listening = [c.laddr for c in psutil.Process(instance.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert listening == [("127.0.0.1", port)]


def test_an_occupied_tcp_port_is_named(instance: support.Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"TCP port {port} is taken"):
            instance.call("POST", "/ingle/serve", {"port": port})
    assert instance.call("GET", "/ingle/status")["tcp"] is None


def test_an_occupied_tcp_port_in_the_configuration_stops_the_start(instance: support.Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        instance.configure(f"[server]\ntcp_port = {port}\n")
        with pytest.raises(UsageError, match=f"TCP port {port} is taken"):
            instance.start()
    instance.start()
    assert instance.call("GET", "/ingle/status")["tcp"] == {"url": f"http://127.0.0.1:{port}/v1"}


def test_the_token_is_kept_and_private(instance: support.Instance) -> None:
    token = instance.call("GET", "/ingle/token")["token"]
    assert len(token) >= 32
    assert instance.call("GET", "/ingle/token")["token"] == token
    file = Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/token"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (token, 0o600)


def test_without_a_token_no_port_is_opened(instance: support.Instance) -> None:
    (Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/token").mkdir(parents=True)  # as good as a full disk
    with pytest.raises(UsageError, match="token: Is a directory"):
        instance.call("POST", "/ingle/serve", {"port": 0})
    assert instance.call("GET", "/ingle/status")["tcp"] is None


def test_an_empty_token_file_lets_nobody_in(instance: support.Instance) -> None:
    file = Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/token"
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    url = instance.call("POST", "/ingle/serve", {"port": 0})["url"]
    assert fetch(f"{url}/models", Authorization="Bearer ")[0] == 401
    assert len(file.read_text()) >= 32


# --- clients that go away ------------------------------------------------------------------------------------------


def test_a_client_that_disappears_ends_its_request(instance: support.Instance) -> None:
    instance.script(token_delay_ms=10, rules=[{"kind": "chat", "match": "", "answer": "word " * 1000}])
    events = instance.stream("/ingle/ask", QUESTION)
    follow = iter(events)
    next(event for event in follow if event["type"] == "delta")
    assert instance.call("GET", "/ingle/status")["requests"]["running"] == 1
    follow.close()  # type: ignore[attr-defined]
    events.close()
    wait_until_idle(instance)


def test_a_client_that_disappears_before_the_first_token_ends_its_request(instance: support.Instance) -> None:
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "late", "delay_ms": 60_000}])
    with instance.stream("/ingle/ask", QUESTION) as events:
        assert next(iter(events))["type"] == "routed"
    wait_until_idle(instance)


def wait_until_idle(instance: support.Instance) -> None:
    support.wait_until(lambda: not instance.call("GET", "/ingle/status")["requests"]["running"])


# --- a daemon that is silent ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5_000_000], ids=["small", "larger than the socket's buffer"])
def test_a_daemon_that_is_stopped_is_told_from_one_that_thinks(
    instance: support.Instance, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    instance.start()
    daemon = psutil.Process(instance.pid)
    monkeypatch.setattr(client, "_SILENCE_S", 0.2)
    monkeypatch.setattr(client, "_LOOK_S", 0.2)
    daemon.suspend()
    try:
        with pytest.raises(DaemonUnreachable, match="there but does not answer") as stopped:
            list(instance.stream("/ingle/ask", {"messages": [{"role": "user", "content": "x" * size}]}))
    finally:
        daemon.resume()
    assert "kill -CONT" in stopped.value.hint


def test_an_answer_that_is_long_in_coming_is_waited_for(
    instance: support.Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "at last", "delay_ms": 1500}])
    instance.start()
    monkeypatch.setattr(client, "_SILENCE_S", 0.5)
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "at last"


# --- what it weighs ------------------------------------------------------------------------------------------------


def test_resident_memory_without_a_model_is_at_most_80_mb(instance: support.Instance) -> None:
    list(instance.stream("/ingle/ask", QUESTION))
    assert psutil.Process(instance.pid).memory_info().rss <= 80e6


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are Linux's to tell")
def test_it_allows_itself_more_files_than_a_login_does(instance: support.Instance) -> None:
    assert instance.run("/bin/sh", "-c", "ulimit -S -n 256 && ask hello").returncode == 0
    assert psutil.Process(instance.pid).rlimit(psutil.RLIMIT_NOFILE)[0] >= 4096


def test_a_held_lock_with_nobody_behind_it_is_told(instance: support.Instance) -> None:
    lock = instance.socket_file.with_name("ingled.lock")
    lock.parent.mkdir(parents=True, mode=0o700)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "-c", PATIENT], env=instance.env, capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 3
    assert "another ingled holds the lock" in done.stderr


PATIENT = """
from ingle_daemon import server
server._LOCK_PATIENCE_S = 0.2
server.main()
"""
