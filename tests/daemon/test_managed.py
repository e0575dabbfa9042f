"""Under a service manager: its socket, the words it wants to hear, its journal. The test plays the manager."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import support
from ingle_daemon.errors import UsageError
from support import Instance

QUESTION = {"messages": [{"role": "user", "content": "hello there"}]}
WATCHDOG_S = 1.0
_DAEMON = [sys.executable, "-m", "ingle_daemon.server"]

# Does what systemd does between fork and exec: the socket becomes number 3, and the variables name this process.
_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "ingle_daemon.server"])
"""


class Notices:
    """The socket to which a service says how it is."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)

    def next(self, seconds: float = 20) -> dict[str, str]:
        """What it says next; {} when it says nothing for so long."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return {}
        return dict(line.split("=", 1) for line in self._socket.recv(65536).decode().splitlines())

    def until(self, name: str) -> str:
        while name not in (said := self.next()):
            assert said, f"{name} was never said"
        return said[name]

    def close(self) -> None:
        self._socket.close()


class Managed:
    """A service manager with one service."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.path = instance.socket_file
        self.path.parent.mkdir(parents=True, mode=0o700)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.notices = Notices(str(instance.root / "notify"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        environ = {**self.instance.env, "NOTIFY_SOCKET": str(self.instance.root / "notify"), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(self.listener.fileno())],
            env=environ,
            cwd="/",
            pass_fds=(self.listener.fileno(),),
            stderr=subprocess.PIPE,
        )
        return self.process

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.listener.close()
        self.notices.close()


@pytest.fixture
def manager(instance: Instance) -> Iterator[Managed]:
    made = Managed(instance)
    yield made
    made.close()


def answer_of(events: Any) -> str:
    return "".join(event["text"] for event in events if event["type"] == "delta")


# --- the socket -----------------------------------------------------------------------------------------------------


def test_who_connected_before_the_daemon_was_there_is_answered(instance: Instance, manager: Managed) -> None:
    with instance.stream("/ingle/ask", QUESTION) as events:
        manager.start()
        assert answer_of(events) == "You said: hello there"
    assert stat.S_IMODE(manager.path.stat().st_mode) == 0o600


def test_a_client_that_finds_the_managers_socket_starts_no_daemon(instance: Instance, manager: Managed) -> None:
    process = manager.start()
    assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"
    assert instance.pid == process.pid


def test_a_stop_leaves_the_socket_and_the_next_client_waits_for_the_next_daemon(
    instance: Instance, manager: Managed
) -> None:
    first = manager.start()
    assert instance.run("ingle", "stop").returncode == 0
    assert first.wait(20) == 0
    assert manager.path.is_socket()
    with instance.stream("/ingle/ask", QUESTION) as events:
        second = manager.start()
        assert answer_of(events) == "You said: hello there"
    assert instance.pid == second.pid
    first.communicate()


def test_who_starts_ingled_by_hand_beside_a_managers_socket_gets_no_second_daemon(
    instance: Instance, manager: Managed
) -> None:
    inode = manager.path.stat().st_ino
    assert instance.run("ingled", timeout=20).returncode == 0
    assert manager.path.stat().st_ino == inode


def test_a_socket_that_no_client_knows_is_refused(instance: Instance, manager: Managed) -> None:
    process = manager.start(XDG_RUNTIME_DIR=str(instance.root / "elsewhere"))
    _, complaint = process.communicate(timeout=20)
    assert process.returncode == UsageError.exit_code
    assert b"clients look at" in complaint
    assert b"ingle service install" in complaint


def test_a_wrong_configuration_is_told_to_whoever_waits(instance: Instance, manager: Managed) -> None:
    instance.configure("[engine]\ncontext = 'large'\n")
    with instance.stream("/ingle/ask", QUESTION) as events:
        process = manager.start()
        with pytest.raises(UsageError, match=r"config\.toml:2: engine\.context"):
            list(events)
    assert process.wait(20) == UsageError.exit_code


def test_an_occupied_port_is_told_to_whoever_waits(instance: Instance, manager: Managed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        instance.configure(f"[server]\ntcp_port = {taken.getsockname()[1]}\n")
        process = manager.start()
        assert process.wait(20) == UsageError.exit_code


def test_children_of_the_daemon_are_not_told_that_they_are_the_service(instance: Instance, manager: Managed) -> None:
    instance.env |= {"INGLE_BACKEND": "local", "INGLE_MODEL": str(support.starter_model())}
    process = manager.start(WATCHDOG_USEC="60000000")
    manager.notices.until("READY")
    instance.call("POST", "/tokenize", {"content": "x"})
    (worker,) = psutil.Process(process.pid).children()
    assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC"} & set(worker.environ())


# --- what it says ---------------------------------------------------------------------------------------------------


def test_it_says_when_it_listens_and_when_it_ends(instance: Instance, manager: Managed) -> None:
    process = manager.start()
    assert manager.notices.until("READY") == "1"
    assert instance.call("GET", "/ingle/status")["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    assert manager.notices.until("STOPPING") == "1"
    assert process.wait(20) == 0


@pytest.mark.parametrize("address", ["@ingle-test-{pid}", "{root}/other"], ids=["abstract", "file"])
def test_both_kinds_of_addresses_are_heard(instance: Instance, manager: Managed, address: str) -> None:
    address = address.format(pid=os.getpid(), root=instance.root)
    with contextlib.closing(Notices(f"\0{address[1:]}" if address[0] == "@" else address)) as notices:
        manager.start(NOTIFY_SOCKET=address)
        assert notices.until("READY") == "1"


def test_it_gives_signs_of_life_twice_within_the_time(manager: Managed) -> None:
    manager.start(WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)))
    manager.notices.until("WATCHDOG")
    for _ in range(4):
        said = manager.notices.next(WATCHDOG_S)
        assert said["WATCHDOG"] == "1"
        assert said["STATUS"].startswith("model ready, 0 requests")


def test_without_a_watchdog_it_gives_none(manager: Managed) -> None:
    manager.start()
    manager.notices.until("READY")
    assert manager.notices.next(0.5) == {}


def test_a_watchdog_that_is_for_another_process_is_not_ours(manager: Managed) -> None:
    manager.start(WATCHDOG_USEC="200000", WATCHDOG_PID="1")
    manager.notices.until("READY")
    assert manager.notices.next(0.5) == {}


def test_a_loop_that_hangs_gives_no_sign_of_life(instance: Instance, manager: Managed) -> None:
    """A token file that is a named pipe: to read it is to wait for a writer, in the loop's own thread."""
    manager.start(WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)))
    manager.notices.until("WATCHDOG")
    pipe = Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/token"
    os.mkfifo(pipe)
    asking = subprocess.Popen(["ingle", "token"], env=instance.env, stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as end:
        end.callback(asking.wait)
        end.callback(asking.kill)
        silent = falls_silent(manager.notices)
        assert silent, "the loop never hung"
        with pipe.open("w") as writer:  # it turns again
            writer.write("token")
        assert manager.notices.until("WATCHDOG") == "1"


def falls_silent(notices: Notices) -> bool:
    """Whether it fell silent for as long as the manager would have waited."""
    return any(not notices.next(WATCHDOG_S) for _ in range(10))


# --- the journal ----------------------------------------------------------------------------------------------------


def test_where_standard_error_is_the_journal_the_log_goes_there(instance: Instance) -> None:
    journal = instance.root / "journal"
    with journal.open("wb") as out:
        status = os.fstat(out.fileno())
        process = subprocess.Popen(
            _DAEMON,
            env={**instance.env, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            stderr=out,
            cwd="/",
        )
    with contextlib.ExitStack() as end:
        end.callback(process.wait)
        end.callback(process.kill)
        support.wait_until(lambda: b"listening" in journal.read_bytes())
        told = instance.run("ingle", "status").stdout
    assert journal.read_text().startswith(f"<6>ingle_daemon.server: listening pid={process.pid} version=")
    assert not instance.log_file.exists()
    assert "log       journalctl --user -u ingled" in told


def test_a_journal_that_was_the_parents_is_not_written_to(instance: Instance) -> None:
    instance.env["JOURNAL_STREAM"] = "1:1"
    instance.start()
    support.wait_until(lambda: "listening" in instance.log_file.read_text())


# --- systemd's own launcher -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is not installed")
def test_systemds_launcher_starts_it_for_the_first_client(instance: Instance) -> None:
    instance.socket_file.parent.mkdir(parents=True, mode=0o700)
    names = {name for name in instance.env if name.startswith(("XDG_", "INGLE_"))} | {"HOME", "PATH"}
    settings = [f"--setenv={name}" for name in sorted(names)]
    launcher = subprocess.Popen(
        ["systemd-socket-activate", *settings, f"--listen={instance.socket_file}", *_DAEMON],
        env=instance.env,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    with contextlib.ExitStack() as end:
        end.callback(launcher.wait)
        end.callback(launcher.kill)
        support.wait_until(instance.socket_file.exists)
        assert answer_of(instance.stream("/ingle/ask", QUESTION)) == "You said: hello there"
        assert instance.pid == launcher.pid  # it becomes what it starts
