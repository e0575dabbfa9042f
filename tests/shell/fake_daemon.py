"""A daemon of the tests: answers on the real socket with whatever a test wants a front end to meet.

The real daemon with its scripted backend is used wherever it can produce the scene; this one produces the
others: no model, a download, an answer by an API model, a cut connection.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["HOLD", "Answer", "FakeDaemon", "answered", "fake_daemon"]

HOLD: dict[str, Any] = {"type": "hold"}
"""In place of an event: wait until the client goes away."""


class Answer(NamedTuple):
    """An answer to one request: a status with a JSON value, or a list of events."""

    body: Any
    status: int = 200


def answered(text: str, **done: object) -> Answer:
    """The events of an ordinary local answer."""
    return Answer(
        [
            {"type": "routed", "route": {"kind": "local", "model": "tiny", "reason": "it fits"}},
            {"type": "delta", "text": text},
            {"type": "done", "reason": "end", **done},
        ]
    )


class FakeDaemon:
    """What was asked, and what is to be answered: a path's answers in turn; the last one repeats."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.asked = threading.Event()
        self.client_left = threading.Event()

    def play(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def bodies(self, path: str) -> list[Any]:
        return [body for asked, body in self.requests if asked == path]

    def answer(self, path: str, body: Any) -> Answer:
        self.requests.append((path, body))
        self.asked.set()
        answers = self.answers[path]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        length = 0
        while line := self.rfile.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = self.rfile.read(length)
        daemon: FakeDaemon = self.server.daemon_of_test  # type: ignore[attr-defined]
        answer = daemon.answer(path, json.loads(body) if body else None)
        self.wfile.write(f"HTTP/1.0 {answer.status} -\r\n\r\n".encode())
        for event in answer.body if isinstance(answer.body, list) else [answer.body]:
            if event is HOLD:
                self.rfile.read()
                daemon.client_left.set()
            else:
                self.wfile.write(json.dumps(event).encode() + b"\n")


@contextmanager
def fake_daemon(socket_file: Path) -> Iterator[FakeDaemon]:
    """A FakeDaemon that listens at `socket_file`."""
    daemon = FakeDaemon()
    socket_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socketserver.ThreadingUnixStreamServer(str(socket_file), _Handler) as server:
        server.daemon_of_test = daemon  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()
