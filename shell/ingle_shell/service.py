"""The service of ingle in the user's service manager: which files it is made of, and what has become of them.

It knows systemd's and launchd's own programs and folders. What stands in the files is `units.py`'s, who is asked about
them `commands/service.py`'s.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ingle_daemon import paths
from ingle_daemon.errors import IngleError, UsageError, reason
from ingle_shell import units

__all__ = ["State", "Unit", "agents", "found", "handing_over", "launchctl", "state", "systemctl", "wanted"]

_PATIENCE_S = 90.0
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


class Unit(msgspec.Struct, frozen=True):
    """One file of the service, and what shall stand in it."""

    path: Path
    text: bytes

    @property
    def current(self) -> bool:
        return self.path.is_file() and self.path.read_bytes() == self.text


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is there of the service. `enabled` and `active` are the manager's own words, by unit."""

    manager: str
    files: tuple[str, ...] = ()
    current: bool = True
    enabled: dict[str, str] = {}
    active: dict[str, str] = {}


def wanted() -> list[Unit]:
    """The files that make the service of this installation. Raises UsageError where there is no service manager."""
    daemon = _daemon()
    if sys.platform == "darwin":
        return [Unit(agents() / f"{units.LABEL}.plist", units.launchd_plist(daemon))]
    folder = _unit_folder()
    return [Unit(folder / name, text.encode()) for name, text in units.systemd_units(daemon).items()]


def state() -> State:
    """How the service is. Works where there is no manager, too."""
    name = "launchd" if sys.platform == "darwin" else "systemd"
    try:
        files = wanted()
    except UsageError:
        return State(manager="")
    there = tuple(unit for unit in files if unit.path.exists())
    if not there:
        return State(manager=name)
    names = [] if name == "launchd" else [unit.path.name for unit in there]
    return State(
        manager=name,
        files=tuple(str(unit.path) for unit in there),
        current=all(unit.current for unit in files),
        enabled={unit: _word("is-enabled", unit) for unit in names},
        active={unit: _word("is-active", unit) for unit in names},
    )


def found() -> list[Path]:
    """The files of a service that is installed."""
    return [unit.path for unit in wanted() if unit.path.exists()]


@contextlib.contextmanager
def handing_over() -> Iterator[None]:
    """No client starts a daemon within it: who wants one waits, and then finds the socket's new owner."""
    paths.private_dir(paths.runtime_dir())
    lock = os.open(paths.start_lock(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


# --- systemd --------------------------------------------------------------------------------------------------------


def systemctl(*arguments: str) -> str:
    """What `systemctl --user` prints. Raises IngleError when it fails."""
    return _run("systemctl", "--user", *arguments)


def _word(verb: str, unit: str) -> str:
    """What it says of a unit in one word; it fails where that is not the good one."""
    program = shutil.which("systemctl") or "systemctl"
    done = subprocess.run(
        [program, "--user", verb, unit], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
    return done.stdout.strip() or "unknown"


def _unit_folder() -> Path:
    """Of the folders where the manager looks for units, the user's own."""
    try:
        listed = systemctl("show", "--property=UnitPath", "--value").split()
    except IngleError as exc:
        raise UsageError(
            f"no service manager answers: {exc.message}",
            hint="It needs systemd's user manager, in a login session. Without a service the clients start ingled.",
        ) from exc
    own = os.environ.get("XDG_CONFIG_HOME", "")
    places = [Path(own)] if os.path.isabs(own) else []  # noqa: PTH117 - the string may be ""
    for place in (*places, Path.home() / ".config", Path.home() / ".local/share"):
        if str(place / "systemd/user") in listed:
            return place / "systemd/user"
    raise UsageError("systemd looks for units in no folder of yours", hint="`systemctl --user show -p UnitPath`")


# --- launchd --------------------------------------------------------------------------------------------------------


def agents() -> Path:
    return Path.home() / "Library/LaunchAgents"


def launchctl(*arguments: str) -> str:
    return _run("launchctl", *arguments)


# --- both -----------------------------------------------------------------------------------------------------------


def _daemon() -> units.Daemon:
    homes = {name: os.environ.get(name, "") for name in _FOLDERS}
    return units.Daemon(
        python=sys.executable,
        socket=str(paths.socket_file()),
        runtime_dir=os.environ.get("XDG_RUNTIME_DIR", ""),
        log=str(paths.log_file()),
        environment={name: value for name, value in homes.items() if os.path.isabs(value)},  # noqa: PTH117
    )


def _run(program: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [shutil.which(program) or program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise IngleError(f"{program} could not be run: {reason(exc)}", hint="Run it by hand, to see more.") from exc
    if done.returncode:
        told = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise IngleError(f"{program} {' '.join(arguments)}: {told}", hint="Run it by hand, to see more.")
    return done.stdout
