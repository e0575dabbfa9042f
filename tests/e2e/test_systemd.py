"""The service in a real user manager of systemd: started by its socket, ended, killed, misconfigured, taken away.

The manager is of the tests' own: it has a mount namespace in which the machine looks as if systemd had booted it, and
the instance's folders. Skipped where there is no systemd, or no right to make such a namespace.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import support
from support import Instance

_SYSTEMD = "/lib/systemd/systemd"
_MANAGER = f"""
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec {_SYSTEMD} --user --unit=basic.target
"""
_IN_A_NAMESPACE = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]


def _why_not() -> str:
    if not Path(_SYSTEMD).exists() or not shutil.which("systemctl"):
        return "systemd is not installed"
    if not shutil.which("unshare") or subprocess.run([*_IN_A_NAMESPACE, "true"], capture_output=True).returncode:
        return "no mount namespace can be made here"
    return ""


_WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)


@pytest.fixture
def user(instance: Instance) -> Iterator[Instance]:
    """An instance whose user has a manager."""
    runtime = Path(instance.xdg["XDG_RUNTIME_DIR"])
    runtime.mkdir(mode=0o700)
    log = (instance.root / "manager.log").open("wb")
    manager = subprocess.Popen([*_IN_A_NAMESPACE, _MANAGER], env=instance.env, stdout=log, stderr=log)
    try:
        support.wait_until(
            lambda: manager.poll() is not None or systemctl(instance, "is-active", "basic.target") == "active"
        )
        if manager.poll() is not None:
            pytest.skip(f"no user manager runs here: {(instance.root / 'manager.log').read_text().strip()}")
        yield instance
    finally:
        systemctl(instance, "exit")
        manager.wait(30)
        log.close()


def systemctl(instance: Instance, *arguments: str) -> str:
    return instance.run("systemctl", "--user", *arguments).stdout.strip()


def install(user: Instance, *options: str) -> None:
    done = user.run("ingle", "service", "install", "--yes", *options)
    assert done.returncode == 0, done.stderr


def test_the_first_question_starts_it_by_its_socket(user: Instance) -> None:
    install(user)
    assert systemctl(user, "is-active", "ingled.service") == "inactive"
    assert stat.S_IMODE(user.socket_file.stat().st_mode) == 0o600
    assert user.run("ask", "hello").stdout == "You said: hello\n"
    assert systemctl(user, "show", "ingled.service", "--property=MainPID", "--value") == str(user.pid)
    assert "model ready" in systemctl(user, "show", "ingled.service", "--property=StatusText", "--value")


def test_it_comes_back_after_a_stop_and_after_a_kill(user: Instance) -> None:
    install(user)
    user.run("ask", "hello")
    assert user.run("ingle", "stop").stdout == "ingled is stopped\n"
    assert user.run("ask", "again").stdout == "You said: again\n"
    user.kill()
    assert user.run("ask", "once more").stdout == "You said: once more\n"
    assert systemctl(user, "is-active", "ingled.service") == "active"


def test_a_wrong_configuration_is_told_to_who_asks_until_it_is_right(user: Instance) -> None:
    install(user)
    user.configure("[engine]\ncontext = 'large'\n")
    for _ in range(7):
        done = user.run("ask", "hello")
        assert (done.returncode, "config.toml:2: engine.context" in done.stderr) == (2, True)
    user.configure("")
    assert user.run("ask", "hello").stdout == "You said: hello\n"
    assert systemctl(user, "is-active", "ingled.service") == "active"


def test_with_preload_it_runs_before_anybody_asks(user: Instance) -> None:
    install(user, "--preload")
    assert systemctl(user, "is-active", "ingled.service") == "active"
    assert systemctl(user, "is-enabled", "ingled.service") == "enabled"
    first = user.pid
    install(user)
    assert systemctl(user, "is-enabled", "ingled.service") == "disabled"
    assert user.run("ask", "hello").returncode == 0
    assert user.pid != first


def test_a_daemon_that_runs_already_hands_over(user: Instance) -> None:
    user.start()
    first = user.pid
    install(user)
    user.run("ask", "hello")
    assert user.pid != first
    assert systemctl(user, "is-active", "ingled.service") == "active"


def test_taken_away_again_the_clients_start_it(user: Instance) -> None:
    install(user)
    user.run("ask", "hello")
    assert user.run("ingle", "service", "uninstall", "--yes").returncode == 0
    assert user.run("ask", "hello").stdout == "You said: hello\n"
    assert user.pid  # one runs, and it is not the manager's
    assert systemctl(user, "is-active", "ingled.service") == "inactive"
    assert "no service" in user.run("ingle", "service", "status").stdout


def test_the_doctor_sees_it(user: Instance) -> None:
    install(user)
    assert "service: ingled.socket enabled, active" in user.run("ingle", "doctor").stdout
