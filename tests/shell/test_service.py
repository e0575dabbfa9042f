"""`ingle service`: what is written for systemd and launchd, said first, and taken back. A script plays systemctl."""

from __future__ import annotations

import json
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pexpect
import pytest

from ingle_daemon.errors import UsageError
from ingle_shell import units
from support import Instance

DAEMON = units.Daemon(
    python="/opt/ingle/bin/python",
    socket="/run/user/1000/ingle/ingled.sock",
    runtime_dir="/run/user/1000",
    log="/home/kim/.local/state/ingle/ingled.log",
    environment={},
)
AWKWARD = units.Daemon(
    python=sys.executable,
    socket="/srv/100%/run me/ingled.sock",
    runtime_dir="",
    log="/x",
    environment={"XDG_DATA_HOME": "/srv/a b/$c %d\"e'"},
)

_SYSTEMCTL = """#!/bin/sh
shift
echo "$*" >> {root}/told
if [ -e {root}/fails-$1 ]; then echo "no $1 today" >&2; exit 1; fi
case $1 in
  show) echo "/etc/systemd/user {root}/config/systemd/user" ;;
  is-enabled) echo enabled ;;
  is-active) echo active ;;
esac
"""


@pytest.fixture
def systemd(instance: Instance) -> Path:
    """The folder of the units; what systemctl was told stands in `told`, what shall fail in `fails-VERB`."""
    program = instance.root / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(_SYSTEMCTL.format(root=instance.root))
    program.chmod(0o755)
    instance.env["PATH"] = f"{program.parent}:{instance.env['PATH']}"
    return instance.root / "config/systemd/user"


def told(instance: Instance) -> list[str]:
    lines = (instance.root / "told").read_text().splitlines()
    return [line for line in lines if not line.startswith(("show", "is-"))]


# --- what stands in the files ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("daemon", [DAEMON, AWKWARD], ids=["usual", "awkward"])
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, daemon: units.Daemon) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    for name, text in units.systemd_units(daemon).items():
        (tmp_path / name).write_text(text.replace(DAEMON.python, str(python)))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *(str(tmp_path / name) for name in (units.SOCKET, units.SERVICE))],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_socket_is_the_clients_and_closed_to_others() -> None:
    text = units.systemd_units(DAEMON)[units.SOCKET]
    assert "ListenStream=%t/ingle/ingled.sock\n" in text
    assert "SocketMode=0600\n" in text


def test_a_socket_elsewhere_is_named_in_full() -> None:
    assert "ListenStream=/srv/100%%/run me/ingled.sock\n" in units.systemd_units(AWKWARD)[units.SOCKET]


def test_the_service_answers_a_watchdog_and_says_where_its_folders_are() -> None:
    text = units.systemd_units(AWKWARD)[units.SERVICE]
    assert "Type=notify\n" in text
    assert "WatchdogSec=60\n" in text
    assert """Environment="XDG_DATA_HOME=/srv/a b/$c %%d\\"e'"\n""" in text


_LAUNCHD = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "Umask": int,
    "HardResourceLimits": dict,
    "ProcessType": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "EnvironmentVariables": dict,
}
"""The keys of launchd.plist(5) that are used, and the types that it gives them."""


def test_a_line_break_in_a_value_begins_no_setting_of_its_own() -> None:
    setting = "a\nExecStartPre=/bin/evil"
    for awkward in ({"socket": setting}, {"environment": {"A": setting}}):
        with pytest.raises(UsageError, match="cannot hold"):
            units.systemd_units(msgspec.structs.replace(DAEMON, **awkward))


@pytest.mark.parametrize("daemon", [DAEMON, AWKWARD], ids=["usual", "awkward"])
def test_launchds_agent_has_known_keys_of_the_right_types(daemon: units.Daemon) -> None:
    agent = plistlib.loads(units.launchd_plist(daemon))
    assert {key: type(value) for key, value in agent.items()}.items() <= _LAUNCHD.items()
    assert agent["ProgramArguments"] == [daemon.python, "-m", "ingle_daemon.server"]
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent.get("EnvironmentVariables", {}) == dict(daemon.environment)


# --- install --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_said_first_and_then_done(instance: Instance, systemd: Path) -> None:
    done = instance.run("ingle", "service", "install", "--yes")
    assert done.returncode == 0, done.stderr
    for name in (units.SOCKET, units.SERVICE):
        assert f"ingle will write {systemd / name}:\n    # Written by" in done.stderr
        for line in (systemd / name).read_text().splitlines():
            assert f"    {line}".rstrip() in done.stderr
    assert told(instance) == [
        "daemon-reload",
        "stop ingled.socket ingled.service",
        "enable ingled.socket",
        "disable ingled.service",
        "start ingled.socket",
    ]


def test_with_preload_the_service_starts_at_login_too(instance: Instance, systemd: Path) -> None:
    instance.run("ingle", "service", "install", "--preload", "--yes")
    assert told(instance) == [
        "daemon-reload",
        "stop ingled.socket ingled.service",
        "enable ingled.socket ingled.service",
        "start ingled.socket ingled.service",
    ]


def test_a_daemon_that_runs_is_ended_before_the_socket_changes_hands(instance: Instance, systemd: Path) -> None:
    instance.start()
    assert instance.run("ingle", "service", "install", "--yes").returncode == 0
    assert not instance.socket_file.exists()


def test_nobody_to_ask_changes_nothing(instance: Instance, systemd: Path) -> None:
    done = instance.run("ingle", "service", "install")
    assert (done.returncode, systemd.exists()) == (2, False)
    assert "--yes" in done.stderr


@pytest.mark.parametrize(("answer", "written"), [("n", False), ("", True)])
def test_on_a_terminal_it_asks(instance: Instance, systemd: Path, answer: str, written: bool) -> None:
    child = pexpect.spawn(
        "ingle service install", env=instance.env, cwd=str(instance.root), encoding="utf-8", timeout=30
    )
    child.expect_exact("[Y/n] ")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert (systemd / units.SOCKET).exists() is written


@pytest.mark.parametrize("verb", ["daemon-reload", "enable", "start"])
def test_what_fails_half_way_is_taken_back(instance: Instance, systemd: Path, verb: str) -> None:
    systemd.mkdir(parents=True)
    (systemd / units.SERVICE).write_text("mine")
    (instance.root / f"fails-{verb}").touch()
    done = instance.run("ingle", "service", "install", "--yes")
    assert done.returncode == 1
    assert f"no {verb} today" in done.stderr
    assert (systemd / units.SERVICE).read_text() == "mine"
    assert not (systemd / units.SOCKET).exists()


def test_without_a_manager_it_says_what_it_needs(instance: Instance, systemd: Path) -> None:
    (instance.root / "fails-show").touch()
    done = instance.run("ingle", "service", "install", "--yes")
    assert done.returncode == 2
    assert "no service manager answers" in done.stderr
    assert "the clients start ingled" in instance.run("ingle", "service", "status").stdout


# --- uninstall and status -------------------------------------------------------------------------------------------


def test_uninstall_leaves_nothing(instance: Instance, systemd: Path) -> None:
    instance.run("ingle", "service", "install", "--yes")
    (instance.root / "told").unlink()
    done = instance.run("ingle", "service", "uninstall", "--yes")
    assert f"remove {systemd / units.SOCKET}" in done.stderr
    assert told(instance) == ["disable --now ingled.socket ingled.service", "daemon-reload"]
    assert list(systemd.iterdir()) == []
    assert "no service" in instance.run("ingle", "service", "uninstall").stdout


def test_status_for_people_and_programs(instance: Instance, systemd: Path) -> None:
    assert "no service of ingle's is installed" in instance.run("ingle", "service", "status").stdout
    instance.run("ingle", "service", "install", "--yes")
    status = json.loads(instance.run("ingle", "service", "status", "--json").stdout)
    assert (status["manager"], status["current"]) == ("systemd", True)
    assert status["enabled"] == {units.SOCKET: "enabled", units.SERVICE: "enabled"}
    assert f"{systemd / units.SOCKET}: enabled, active" in instance.run("ingle", "service", "status").stdout
    (systemd / units.SERVICE).write_text("older")
    assert "`ingle service install`" in instance.run("ingle", "service", "status").stdout
