"""Another version is installed while the daemon runs: it finishes what it does, and the next client starts the new one.

The installations are copies of the package whose version a test changes, as an upgrade does.
"""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import ingle_daemon
import ingle_shell
from ingle_daemon import PROTOCOL, __version__, upgrade
from ingle_daemon.errors import OtherVersion
from support import Instance

QUESTION = {"messages": [{"role": "user", "content": "hello there"}]}


class Installation:
    """A copy of ingle, which the instance's programs run."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.root = instance.root / "packages"
        for package in (ingle_daemon, ingle_shell):
            (source,) = map(Path, package.__path__)
            shutil.copytree(source, self.root / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        instance.env["PYTHONPATH"] = str(self.root)

    def becomes(self, version: str, protocol: int = PROTOCOL) -> None:
        """As pip does it: the file is another one now."""
        file = self.root / "ingle_daemon/__init__.py"
        text = re.sub(r'__version__ = ".+"', f'__version__ = "{version}"', file.read_text())
        fresh = file.with_name("fresh")
        fresh.write_text(re.sub(r"PROTOCOL = \d+", f"PROTOCOL = {protocol}", text))
        fresh.replace(file)

    def run(self, program: str, *arguments: str) -> tuple[int, str, str]:
        """A program of this installation: of the environment's own, only the interpreter is used."""
        module = {"ask": "ask", "ingle": "control"}[program]
        code = f"import sys; from ingle_shell.{module} import main; sys.exit(main())"
        done = self.instance.run(sys.executable, "-c", code, *arguments)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def installed(instance: Instance) -> Iterator[Installation]:
    made = Installation(instance)
    yield made
    made.run("ingle", "stop")


def daemon_of(installed: Installation) -> psutil.Process:
    return psutil.Process(installed.instance.pid)


def test_a_client_of_the_new_version_is_served_and_the_next_one_finds_the_new_daemon(installed: Installation) -> None:
    installed.run("ask", "hello")
    old = daemon_of(installed)
    installed.becomes("9.9")
    assert installed.run("ask", "again")[:2] == (0, "You said: again\n")
    old.wait(20)
    assert installed.run("ask", "once more")[:2] == (0, "You said: once more\n")
    assert "ingled 9.9" in installed.run("ingle", "status")[1]


def test_what_is_being_answered_is_answered_to_its_end(installed: Installation) -> None:
    installed.instance.script(token_delay_ms=20, rules=[{"kind": "chat", "match": "hello", "answer": "word " * 100}])
    installed.run("ingle", "token")
    old = daemon_of(installed)
    events = iter(installed.instance.stream("/ingle/ask", QUESTION))
    next(event for event in events if event["type"] == "delta")
    installed.becomes("9.9")
    installed.run("ingle", "token")
    text = "".join(event["text"] for event in events if event["type"] == "delta")
    assert text.count("word") == 99
    old.wait(20)


def test_a_client_of_another_installation_does_not_end_it(installed: Installation) -> None:
    installed.run("ask", "hello")
    first = installed.instance.pid
    raw(installed.instance, "GET /ingle/token", version="9.9", protocol=PROTOCOL)
    assert installed.run("ask", "hello")[0] == 0
    assert installed.instance.pid == first


def test_a_package_that_is_just_being_replaced_does_not_end_it(installed: Installation) -> None:
    installed.run("ask", "hello")
    first = installed.instance.pid
    file = installed.root / "ingle_daemon/__init__.py"
    aside = file.rename(file.with_name("aside"))
    raw(installed.instance, "GET /ingle/token", version="9.9", protocol=PROTOCOL)
    raw(installed.instance, "GET /ingle/token", version="9.9", protocol=PROTOCOL)
    aside.rename(file)
    assert installed.instance.pid == first


def test_nobody_has_to_come_for_it_to_be_noticed(installed: Installation) -> None:
    file = installed.root / "ingle_daemon/upgrade.py"
    file.write_text(file.read_text().replace("_LOOK_EVERY_S = 60.0", "_LOOK_EVERY_S = 0.1"))
    installed.run("ask", "hello")
    old = daemon_of(installed)
    installed.becomes("9.9")
    old.wait(20)


# --- another protocol -----------------------------------------------------------------------------------------------


def raw(instance: Instance, line: str, *, version: str, protocol: int) -> str:
    instance.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(instance.socket_file))
        head = f"{line} HTTP/1.0\r\nIngle-Version: {version}\r\nIngle-Protocol: {protocol}\r\n\r\n"
        sock.sendall(head.encode())
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def test_a_client_that_speaks_otherwise_is_told_how_to_get_out_of_it(installed: Installation) -> None:
    slow = {"kind": "chat", "match": "hello", "answer": "word " * 2000}
    installed.instance.script(token_delay_ms=20, rules=[slow, {"kind": "chat", "match": "again", "answer": "fine"}])
    installed.run("ingle", "token")
    old = daemon_of(installed)
    events = iter(installed.instance.stream("/ingle/ask", QUESTION))
    next(event for event in events if event["type"] == "delta")
    installed.becomes("9.9", PROTOCOL + 1)
    code, _, told = installed.run("ask", "again")
    assert code == OtherVersion.exit_code
    assert f"is of ingle 9.9, and the daemon that runs is {__version__}" in told
    assert "`ingle stop`" in told
    events.close()  # type: ignore[attr-defined]
    old.wait(20)
    assert installed.run("ask", "again")[:2] == (0, "fine\n")


@pytest.mark.parametrize("path", ["/ingle/token", "/ingle/models"])
def test_the_refusal_names_both_versions(instance: Instance, path: str) -> None:
    answer = raw(instance, f"GET {path}", version="9.9", protocol=PROTOCOL + 1)
    assert answer.startswith("HTTP/1.1 409")
    assert f"is of ingle 9.9, and the daemon that runs is {__version__}" in answer


@pytest.mark.parametrize("path", upgrade._FOR_ANYBODY)
def test_status_and_stop_are_for_clients_of_every_version(instance: Instance, path: str) -> None:
    method = "POST" if path.endswith("stop") else "GET"
    assert raw(instance, f"{method} {path}", version="9.9", protocol=PROTOCOL + 1).startswith("HTTP/1.1 200")


def test_programs_that_say_no_version_are_served(instance: Instance) -> None:
    instance.start()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(instance.socket_file))
        sock.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
