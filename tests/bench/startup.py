"""How long `ask` takes from the start of its process until its request is on the wire, the daemon being warm.

Plays the daemon on a Unix socket in a throw-away home, so that nothing but `ask` is measured; runs
`python -c pass` in turn with it: what `ask` takes beyond that is its own. The dialogue, `ask` alone on a terminal, is
timed until its prompt is there.

    python tests/bench/startup.py [--json]
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import statistics
import struct
import sys
import sysconfig
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RUNS = 20
ANSWER = b"".join(
    json.dumps(event).encode() + b"\n"
    for event in (
        {"type": "routed", "route": {"kind": "local", "model": "bench", "reason": "fits"}},
        {"type": "delta", "text": "yes"},
        {"type": "done", "reason": "end"},
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time `ask` from its start to its request on the wire.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()

    figures = {name: _figures(spans) for name, spans in measure_ask().items()}
    if options.as_json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'milliseconds, ' + str(RUNS) + ' runs':40} {'median':>8} {'p95':>8}")
    for name, figure in figures.items():
        print(f"{name:40} {figure['median_ms']:8.1f} {figure['p95_ms']:8.1f}")


def measure_ask() -> dict[str, list[float]]:
    """Milliseconds of every run, by what was measured."""
    scripts = sysconfig.get_path("scripts")
    ask = shutil.which("ask", path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    if not ask:
        sys.exit("`ask` is not installed: pip install -e .")
    with (
        tempfile.TemporaryDirectory(prefix="ingle-bench-") as home,
        tempfile.TemporaryDirectory(prefix="ingle-bench-") as other,
        _listening(Path(home)) as daemon,
        _listening(Path(other)),
    ):
        environment = _environment(Path(home))
        elsewhere = _environment(Path(other))  # nobody answers there: the prompt does not wait for the daemon

        def python_pass() -> float:
            return _until_its_end([sys.executable, "-c", "pass"], environment)

        def ask_request() -> float:
            return _until_its_request([ask, "what", "is", "this?"], environment, daemon)

        def dialogue() -> float:
            return _until_its_prompt([ask], elsewhere)

        return _in_turn(
            {
                "python -c pass, to its end": python_pass,
                "ask, to its request on the wire": ask_request,
                "ask alone, to its first prompt": dialogue,
            }
        )


def _in_turn(measurements: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """All measurements in turn, RUNS times, so that a busy moment meets each; a first round warms up."""
    spans: dict[str, list[float]] = {name: [] for name in measurements}
    for run in range(RUNS + 1):
        for name, measurement in measurements.items():
            span = measurement()
            if run:
                spans[name].append(span * 1000)
    return spans


def _until_its_end(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    child = _spawn(command, environment)
    _expect_success(child, command)
    return time.perf_counter() - begin


def _until_its_request(command: list[str], environment: dict[str, str], daemon: socket.socket) -> float:
    begin = time.perf_counter()
    child = _spawn(command, environment)
    connection, _ = daemon.accept()
    with connection, connection.makefile("rb") as reader:
        length = 0
        while line := reader.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        request = json.loads(reader.read(length))
        span = time.perf_counter() - begin
        assert request["messages"][-1]["content"] == "what is this?"
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER)
    _expect_success(child, command)
    return span


def _until_its_prompt(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, environment | {"TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown = b""
    while b"m>" not in shown:  # the prompt, after its colour
        shown += os.read(terminal, 4096)
        if b"\x1b[6n" in shown:  # where is the cursor? a terminal answers
            os.write(terminal, b"\x1b[1;1R")
            shown = shown.replace(b"\x1b[6n", b"")
    span = time.perf_counter() - begin
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    return span


def _spawn(command: list[str], environment: dict[str, str]) -> int:
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    return os.posix_spawn(command[0], command, environment, file_actions=quiet)


def _expect_success(child: int, command: list[str]) -> None:
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} ended with exit code {code}")


@contextmanager
def _listening(home: Path) -> Iterator[socket.socket]:
    runtime = home / "ingle"
    runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
        daemon.bind(str(runtime / "ingled.sock"))
        daemon.listen()
        daemon.settimeout(30)
        yield daemon


def _environment(home: Path) -> dict[str, str]:
    """The user's environment with every path of ingle's under `home`, and byte code kept as pip keeps it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    places = ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    return environment | {name: str(home) for name in places}


def _figures(spans: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(spans), 2),
        "p95_ms": round(statistics.quantiles(spans, n=20, method="inclusive")[-1], 2),
    }


if __name__ == "__main__":
    main()
