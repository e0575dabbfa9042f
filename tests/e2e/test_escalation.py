"""A question too large for the local context, through ask and ingled, with and without leave to send it on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import support

LONG = "word " * 100
KEY = "sk-test-0123456789abcdef"


class Provider(HTTPServer):
    """An OpenAI-compatible API on loopback that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.headers.get("Authorization", ""), body))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        chunks = [
            {"choices": [{"delta": {"content": "from "}}]},
            {"choices": [{"delta": {"content": "afar"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 2000}},
        ]
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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
    done = instance.run("ask", "summarise this", input=LONG)
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
