"""A model's chat template, run by a process of its own: one that takes too long or too much is killed, not waited for.

Both sides are here: `TemplateProcess` is the worker's, `main` the child's. They say one line of JSON at a time to each
other, and the child ends when the worker is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from ingle_daemon.engine.sandbox import Sandbox, Turns
from ingle_daemon.errors import IngleError, NoModel, from_wire

__all__ = ["TemplateProcess", "main"]

_SECONDS = 5
"""What compiling, or rendering one conversation, may take of a processor; real templates take milliseconds."""
_PATIENCE_S = 20.0
"""And by the clock, on a machine that has other things to do."""
_MEMORY_BYTES = 1 << 30
_CHUNK = 1 << 16


# --- the worker's side -------------------------------------------------------------------------------------


class TemplateProcess:
    """Starts at once, to be ready when the template is known. Thread-safe: one conversation at a time."""

    def __init__(self, patience_s: float = _PATIENCE_S, seconds: int = _SECONDS) -> None:
        self._patience_s = patience_s
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child = _start(seconds)
        self._template: dict[str, str] = {}

    @property
    def pid(self) -> int:
        return self._child.pid

    def compile(self, source: str, *, bos: str, eos: str) -> None:
        """Take this template. Raises NoModel when it does not compile."""
        with self._lock:
            self._template = {"source": source, "bos": bos, "eos": eos}
            self._ask(self._template)

    def render(self, turns: Turns) -> str:
        """The prompt. Raises UsageError when the template refuses the messages, NoModel when it had to be ended."""
        with self._lock:
            if self._child.poll() is not None:
                self.close()
                self._child = _start(self._seconds)
                self._ask(self._template)
            text: str = self._ask({"turns": turns})["text"]
            return text

    def close(self) -> None:
        """End the child. Once is enough."""
        self._child.kill()
        with contextlib.suppress(BrokenPipeError), self._child:
            pass  # what it had not read yet is lost with it

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._exchange(json.dumps(question).encode() + b"\n"))
        except (OSError, TimeoutError) as exc:
            self.close()
            raise NoModel(
                "the model's chat template takes too long, or too much memory, and was ended",
                hint="Use another GGUF of this model.",
            ) from exc
        if error := answer.get("error"):
            raise from_wire(error)
        return answer

    def _exchange(self, line: bytes) -> bytes:
        """Say a line and hear one. Raises OSError when the child ends, TimeoutError when it says nothing."""
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write(line)
        self._child.stdin.flush()
        pipe, deadline = self._child.stdout.fileno(), time.monotonic() + self._patience_s
        heard: list[bytes] = []
        while not (heard and heard[-1].endswith(b"\n")):
            ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            if not (chunk := os.read(pipe, _CHUNK)):
                raise ConnectionResetError
            heard.append(chunk)
        return b"".join(heard)


def _start(seconds: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ingle_daemon.engine.template_process", str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")


# --- the child's side --------------------------------------------------------------------------------------


def main() -> None:
    """`python -m ingle_daemon.engine.template_process SECONDS`: a template, then conversations, to the input's end."""
    seconds = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the worker's to end it
    with contextlib.suppress(ValueError, OSError):  # not every system bounds it
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    sandbox: Sandbox | None = None
    for line in sys.stdin.buffer:
        _allow(seconds)
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if sandbox is None:
                sandbox = Sandbox(**question)
            else:
                answer = {"text": sandbox.render(question["turns"])}
        except IngleError as exc:
            answer = {"error": exc.to_wire()}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _allow(seconds: int) -> None:
    """The kernel kills this process after so much more of a processor's time, rounded up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, most))


if __name__ == "__main__":
    main()
