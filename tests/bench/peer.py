"""A llama-server of its own for a benchmark, on loopback and on a port that was free; and what it is asked."""

from __future__ import annotations

import http.client
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import support
from ingle_daemon.engine.worker import default_threads
from ingle_lsp.completion.context import Hole

__all__ = ["infill_body", "llama_server"]


@contextmanager
def llama_server(program: str, *flags: str) -> Iterator[int]:
    """The port of a llama-server on the model with fill-in-the-middle tokens, ready to answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "-m", str(support.fim_model()), "-c", "8192", "--no-webui", *flags]
    command += ["-t", str(default_threads()), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            support.wait_until(lambda: _is_ready(port) or process.poll() is not None)
            if process.poll() is not None:
                raise RuntimeError(f"llama-server ended with exit code {process.returncode}: {_spelled(command)}")
            yield port
        finally:
            process.terminate()


def _is_ready(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False


def _spelled(command: Sequence[str]) -> str:
    return " ".join(command)


def infill_body(hole: Hole, filename: str, max_tokens: int) -> dict[str, Any]:
    """A completion as ingle-lsp asks for it, in the shape that llama-server knows."""
    return {
        "input_prefix": hole.prefix,
        "input_suffix": hole.suffix,
        "prompt": "",
        "filename": filename,
        "n_predict": max_tokens,
        "t_max_predict_ms": 500,
        "n_indent": hole.indent,
        "temperature": 0.0,
        "top_k": 1,
        "cache_prompt": True,
        "stream": False,
    }
