"""A question too large for the local context, through ask and ingled, with and without leave to send it on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import support
from ingle_daemon import client
from ingle_daemon.errors import IngleError, RefusedByPrivacy

LONG = "word " * 100
KEY = "sk-test-0123456789abcdef"


class Provider(ThreadingHTTPServer):
    """An OpenAI-compatible API on loopback that remembers what it was asked.

    `broken` models break off in the middle; `refused` ones are answered with an error status.
    """

    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.bodies: list[bytes] = []
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        self.usage = {"prompt_tokens": 1000, "completion_tokens": 2000}


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        self.server.bodies.append(raw)
        self.server.requests.append((self.headers.get("Authorization", ""), body))
        if body["model"] in self.server.refused:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self._chunk({"choices": [{"delta": {"reasoning": "let me see"}}]})
        self._chunk({"choices": [{"delta": {"content": "from "}}]})
        if body["model"] in self.server.broken:
            return
        self._chunk({"choices": [{"delta": {"content": "afar"}, "finish_reason": "stop"}]})
        self._chunk({"choices": [], "usage": self.server.usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, chunk: object) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def serving() -> Iterator[Provider]:
    """A provider that is there."""
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as server:
        yield server


def configure(instance: support.Instance, provider: Provider, **more: object) -> None:
    lines = {
        "url": f"http://127.0.0.1:{provider.server_port}/v1",
        "model": "far/model",
        "key_env": "FAR_KEY",
        "price_in": 1.0,
        "price_out": 2.0,
        **more,
    }
    instance.script(context=80)
    instance.env["FAR_KEY"] = KEY
    instance.configure("[api]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))


def test_with_leave_it_goes_there_and_says_so(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    done = instance.run("ask", "summarise this", input=LONG)
    assert (done.returncode, done.stdout) == (0, "from afar\n")
    assert "far/model" in done.stderr
    assert "1000 + 2000 tokens · $0.0050" in done.stderr
    ((authorization, body),) = provider.requests
    assert authorization == f"Bearer {KEY}"
    assert body["messages"][-1]["content"].endswith("summarise this")
    assert KEY not in done.stderr + instance.log_file.read_text()


@pytest.mark.parametrize("more", [{}, {"allow": False}])
def test_without_leave_it_is_exit_code_5_with_the_numbers(
    instance: support.Instance, provider: Provider, more: dict[str, object]
) -> None:
    configure(instance, provider, **more)
    done = instance.run("ask", input=LONG)  # no question about it, so that it is not read in parts
    assert (done.returncode, done.stdout) == (5, "")
    assert "holds 80" in done.stderr
    assert "allow = true" in done.stderr
    assert provider.requests == []


def test_local_never_leaves(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    assert instance.run("ask", "--local", "summarise this", input=LONG).returncode == 5
    assert provider.requests == []


def test_what_fits_stays(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    done = instance.run("ask", "--system", "", "hi")
    assert (done.returncode, done.stdout) == (0, "You said: hi\n")
    assert provider.requests == []


def test_api_insists(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    assert instance.run("ask", "--api", "hi").stdout == "from afar\n"
    assert len(provider.requests) == 1


def test_offline_refuses_with_exit_code_8(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    instance.configure("offline = true\n" + instance.config_file.read_text())
    assert instance.run("ask", "--api", "hi").returncode == 8
    assert instance.run("ask", "summarise", input=LONG).returncode == 5
    assert provider.requests == []


def test_a_provider_that_is_away_is_exit_code_6(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True, url="http://127.0.0.1:9/v1")
    done = instance.run("ask", "--api", "hi")
    assert (done.returncode, done.stdout) == (6, "")
    assert "127.0.0.1" in done.stderr


# --- roles, consent, privacy ---


def test_thoughts_are_no_part_of_the_answer_and_think_asks_the_reasoning_model(
    instance: support.Instance, provider: Provider
) -> None:
    configure(instance, provider, allow=True)
    instance.configure(instance.config_file.read_text() + '[api.reasoning]\nmodel = "deep/model"\n')
    request = {"messages": [{"role": "user", "content": "hi"}], "route": "think"}
    events = list(instance.stream("/ingle/ask", request))
    assert "".join(event["text"] for event in events if event["type"] == "delta") == "from afar"
    assert [event["text"] for event in events if event["type"] == "thinking"] == ["let me see"]
    assert provider.requests[0][1]["model"] == "deep/model"
    assert provider.requests[0][0] == f"Bearer {KEY}"
    assert instance.run("ask", "--api", "hi").stdout == "from afar\n"


def test_a_role_with_a_url_of_its_own_never_gets_the_key_of_another(
    instance: support.Instance, provider: Provider
) -> None:
    configure(instance, provider, allow=True, url="http://127.0.0.1:9/v1")
    own = f'[api.reasoning]\nurl = "http://127.0.0.1:{provider.server_port}/v1"\nmodel = "deep"\n'
    instance.configure(instance.config_file.read_text() + own + "allow = true\n")
    list(instance.stream("/ingle/ask", {"messages": [{"role": "user", "content": "hi"}], "route": "think"}))
    assert provider.requests[0][0] == ""


def test_a_provider_that_fails_at_once_has_a_fallback(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    provider.refused.add("far/model")
    instance.configure(instance.config_file.read_text() + '[[api.fallback]]\nmodel = "other/model"\n')
    done = instance.run("ask", "--api", "hi")
    assert (done.returncode, done.stdout) == (0, "from afar\n")
    assert "other/model" in done.stderr
    assert [body["model"] for _, body in provider.requests] == [*["far/model"] * 3, "other/model"]
    charged = [receipt["charged"] for receipt in instance.call("GET", "/ingle/ledger")["receipts"]]
    assert charged == [0.005, 0.0]


def test_what_had_begun_is_kept_and_never_asked_for_again(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    provider.broken.add("far/model")
    instance.configure(instance.config_file.read_text() + '[[api.fallback]]\nmodel = "other/model"\n')
    done = instance.run("ask", "--api", "hi")
    assert (done.returncode, done.stdout) == (6, "from \n")
    assert len(provider.requests) == 1
    (receipt,) = instance.call("GET", "/ingle/ledger")["receipts"]
    assert receipt["outcome"] == "api_cut_off"
    assert receipt["charged"] == receipt["estimate"] > 0


def test_consent_is_given_once_and_can_be_taken_back(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider)
    host = f"127.0.0.1:{provider.server_port}"
    refused = instance.run("ask", "--api", "--json", "hi")
    assert refused.returncode == 8
    assert json.loads(refused.stdout)["error"]["consent"] == host
    instance.call("POST", "/ingle/consent", {"host": host, "given": True})
    assert instance.run("ask", "--api", "hi").stdout == "from afar\n"
    assert host in instance.run("ingle", "consent", "list").stdout
    assert instance.run("ingle", "consent", "revoke", host).returncode == 0
    assert instance.run("ask", "--api", "hi").returncode == 8
    assert len(provider.requests) == 1


def test_a_dry_run_shows_every_byte_and_sends_none(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    question = instance.root / "question.txt"
    question.write_text("the password = 'corr3ct-h0rse' of bob@acme-corp.io")
    shown = json.loads(instance.run("ingle", "route", "--dry-run", str(question), "--api", "--json").stdout)
    assert provider.requests == []
    assert instance.call("GET", "/ingle/ledger")["receipts"] == []
    request = {"messages": [{"role": "user", "content": question.read_text()}], "route": "api"}
    list(instance.stream("/ingle/ask", request))
    assert provider.bodies == [shown["letter"]["body"].encode()]
    assert b"h0rse" not in provider.bodies[0]
    assert shown["facts"]["api_consent"] == "given"
    (receipt,) = instance.call("GET", "/ingle/ledger")["receipts"]
    assert receipt["sha256"] == shown["letter"]["sha256"]
    assert receipt["redactions"] == {"keyword": 1, "e-mail": 1}


def test_a_dry_run_says_that_consent_is_not_given_yet(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider)
    tell = ["ingle", "route", "--dry-run", "-", "--api"]
    told = instance.run(*tell, input="hi").stdout
    assert "consent   not given yet: you would be asked first\n" in told
    assert 'api_consent = "given"' not in told
    assert json.loads(instance.run(*tell, "--json", input="hi").stdout)["facts"]["api_consent"] == "asked for"
    assert "consent not given yet: you would be asked first\n" in instance.run("ask", "--dry-run", "--api", "hi").stdout
    instance.call("POST", "/ingle/consent", {"host": f"127.0.0.1:{provider.server_port}", "given": True})
    told = instance.run(*tell, input="hi").stdout
    assert "not given" not in told
    assert 'api_consent = "given"' in told


def test_a_workspace_can_keep_everything_here_and_a_strangers_can_do_nothing_else(
    instance: support.Instance, provider: Provider
) -> None:
    configure(instance, provider, allow=True)
    work = instance.root / "work"
    work.mkdir()
    request = {"messages": [{"role": "user", "content": "hi"}], "route": "api", "root": str(work)}
    for text, reason in (
        ("offline = true", "says `offline = true`"),
        ('[api]\nallow = true\nurl = "http://evil.example"', ".ingle.toml:1: "),
        ("\nconsent = true", ".ingle.toml:2: "),
        ("offline = = 1", ".ingle.toml:1: not valid TOML"),
    ):
        (work / ".ingle.toml").write_text(text)
        with pytest.raises(RefusedByPrivacy) as refused:
            instance.call("POST", "/ingle/route", request)
        assert reason in refused.value.message
        assert provider.requests == []
        assert instance.call("POST", "/ingle/route", {**request, "route": "auto"})["route"]["kind"] == "local"


# --- the budget ---


def test_the_ledger_lists_and_exports_receipts(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    instance.run("ask", "--api", "hi")
    told = instance.run("ingle", "ledger").stdout
    assert "far/model" in told
    assert "1000 + 2000 tokens, $0.0050" in told
    head, row = instance.run("ingle", "ledger", "--export", "csv").stdout.splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["charged"] == "0.005"
    assert json.loads(instance.run("ingle", "ledger", "--json").stdout)["spent"]["day"] == 0.005


def test_at_the_limit_it_is_answered_here_or_exit_code_7(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    instance.configure(instance.config_file.read_text() + "[budget]\nday = 0.006\n")
    assert instance.run("ask", "--api", "--system", "", "hi").stdout == "from afar\n"
    here = instance.run("ask", "--api", "--system", "", "hi")
    assert (here.returncode, here.stdout) == (0, "You said: hi\n")
    assert instance.run("ask", input=LONG).returncode == 7
    assert len(provider.requests) == 1


def test_five_hundred_at_once_do_not_overspend_a_cent(instance: support.Instance, provider: Provider) -> None:
    """Each costs $0.0005 and may cost $0.0008: 12 to 20 fit into a cent, whatever the order."""
    configure(instance, provider, allow=True)
    provider.usage = {"prompt_tokens": 100, "completion_tokens": 200}
    instance.configure(instance.config_file.read_text() + "[budget]\nday = 0.01\n")
    instance.start()
    request = {"messages": [{"role": "user", "content": LONG}], "route": "api", "max_tokens": 200}
    with instance.active():
        ends = asyncio.run(_all_at_once(request, 500))
    assert ends.count("done") == len(provider.requests)
    assert 12 <= ends.count("done") <= 20
    assert ends.count("budget_spent") == 500 - ends.count("done")
    ledger = instance.call("GET", "/ingle/ledger?n=0")
    assert ledger["spent"]["day"] <= 0.01
    assert ledger["spent"]["day"] == pytest.approx(0.0005 * ends.count("done"))
    assert {receipt["outcome"] for receipt in ledger["receipts"]} == {"answered"}


async def _all_at_once(request: dict[str, Any], count: int) -> list[str]:
    async def one() -> str:
        try:
            async for event in client.astream("/ingle/ask", request):
                last = event["type"]
        except IngleError as error:
            return error.code
        return str(last)

    return await asyncio.gather(*(one() for _ in range(count)))


# --- keys ---


@pytest.mark.parametrize("source", ["env", "command", "keyring"])
def test_a_key_is_nowhere_after_a_run(instance: support.Instance, provider: Provider, source: str) -> None:
    configure(instance, provider, allow=True)
    text = instance.config_file.read_text().replace('key_env = "FAR_KEY"\n', "")
    kept = instance.root / "keyring.json"
    instance.env["PYTHON_KEYRING_BACKEND"] = "plain_keyring.PlainKeyring"
    instance.env["PLAIN_KEYRING"] = str(kept)
    instance.env["PYTHONPATH"] = str(Path(__file__).parents[1])
    script = instance.root / "print-key"
    if source == "env":
        text = text.replace("[api]\n", '[api]\nkey_env = "FAR_KEY"\n')
    elif source == "command":
        script.write_text(f"#!/bin/sh\necho {KEY}\n")
        script.chmod(0o700)
        text = text.replace("[api]\n", f"[api]\nkey_command = {json.dumps([str(script)])}\n")
        del instance.env["FAR_KEY"]
    else:
        text = text.replace("[api]\n", '[api]\nkey = "far"\n')
        del instance.env["FAR_KEY"]
    instance.configure(text)
    if source == "keyring":
        assert "no key" in instance.run("ask", "--api", "hi").stderr
        assert instance.run("ingle", "key", "set", "far", input=KEY + "\n").returncode == 0
    printed = [
        instance.run("ask", "--api", "hi"),
        instance.run("ingle", "key", "list"),
        instance.run("ingle", "ledger"),
    ]
    provider.refused.add("far/model")
    printed.append(instance.run("ask", "--api", "--json", "hi"))
    assert provider.requests[0][0] == f"Bearer {KEY}"
    assert "there" in printed[1].stdout
    for done in printed:
        assert KEY not in done.stdout + done.stderr
    arguments = Path(f"/proc/{instance.pid}/cmdline")
    if arguments.exists():
        assert KEY not in arguments.read_text()
    holders = {file for file in instance.root.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()}
    assert holders == {"env": set(), "command": {script}, "keyring": {kept}}[source]
    if source == "keyring":
        assert instance.run("ingle", "key", "rm", "far").returncode == 0
        assert KEY not in kept.read_text()


NO_KEY: dict[str, dict[str, object]] = {
    "env": {"key_env": "NOT_SET"},
    "command": {"key_command": ["false"]},
    "keyring": {"key": "far"},
}


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("source", NO_KEY)
def test_a_missing_key_is_told_before_consent_is_asked_for_and_a_receipt_written(
    instance: support.Instance, provider: Provider, source: str, allowed: bool
) -> None:
    configure(instance, provider, **{"key_env": "", **NO_KEY[source], **({"allow": True} if allowed else {})})
    instance.env["PYTHON_KEYRING_BACKEND"] = "plain_keyring.PlainKeyring"
    instance.env["PLAIN_KEYRING"] = str(instance.root / "keyring.json")
    instance.env["PYTHONPATH"] = str(Path(__file__).parents[1])
    asked = instance.run("ask", "--api", "--json", "hi")
    too_large = instance.run("ask", "--json", input=LONG)
    for done in (asked, too_large):
        assert done.returncode == 2
        error = json.loads(done.stdout)["error"]
        assert "holds no key for 127.0.0.1" in error["message"]
        assert "consent" not in error
        assert "asking" not in done.stderr
    ledger = instance.call("GET", "/ingle/ledger")
    assert (ledger["receipts"], ledger["spent"]["day"]) == ([], 0)


def test_a_program_that_prints_the_key_runs_once_a_request(instance: support.Instance, provider: Provider) -> None:
    """It may ask its user for a passphrase. The first model fails three times, then the fallback is asked."""
    runs = instance.root / "runs"
    script = instance.root / "print-key"
    script.write_text(f"#!/bin/sh\necho >>{runs}\necho {KEY}\n")
    script.chmod(0o700)
    configure(instance, provider, key_env="", key_command=[str(script)])
    instance.configure(instance.config_file.read_text() + '[[api.fallback]]\nmodel = "other/model"\n')
    provider.refused.add("far/model")
    assert instance.run("ask", "--api", "hi").returncode == 8
    assert runs.read_text() == "\n"
    instance.call("POST", "/ingle/consent", {"host": f"127.0.0.1:{provider.server_port}", "given": True})
    assert instance.run("ask", "--api", "hi").stdout == "from afar\n"
    assert {authorization for authorization, _ in provider.requests} == {f"Bearer {KEY}"}
    assert len(provider.requests) == 4
    assert runs.read_text() == "\n\n"
    assert instance.run("ask", "hi").returncode == 0
    assert instance.run("ingle", "route", "--dry-run", "-", "--api", input="hi").returncode == 0
    assert runs.read_text() == "\n\n"


def test_why_tells_the_rule_and_the_facts_it_used(instance: support.Instance, provider: Provider) -> None:
    configure(instance, provider, allow=True)
    done = instance.run("ask", "--why", "--system", "", "hi")
    assert done.stdout == "You said: hi\n"
    assert "rule      fits" in done.stderr
    assert 'fact      wanted = "auto"' in done.stderr
