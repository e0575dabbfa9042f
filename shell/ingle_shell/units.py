"""What a service manager is told of ingled: systemd's user units, and a property list for launchd. Pure: text out."""

from __future__ import annotations

import plistlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ingle_daemon.errors import UsageError

__all__ = ["LABEL", "SERVICE", "SOCKET", "Daemon", "launchd_plist", "systemd_units"]

SOCKET = "ingled.socket"
SERVICE = "ingled.service"
LABEL = "ingle.ingled"


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon of one installation. `environment`: what it needs to find the same folders as this program."""

    python: str
    socket: str
    runtime_dir: str
    log: str
    environment: Mapping[str, str]

    @property
    def command(self) -> list[str]:
        return [self.python, "-m", "ingle_daemon.server"]


_SOCKET_UNIT = """\
# Written by `ingle service install`; `ingle service uninstall` removes it.
[Unit]
Description=Socket of ingled, the daemon that shares one local model
Documentation=man:systemd.socket(5)

[Socket]
ListenStream={socket}
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""

_SERVICE_UNIT = """\
# Written by `ingle service install`; `ingle service uninstall` removes it.
[Unit]
Description=ingled, the daemon that shares one local model between editors and shells
Requires={socket_unit}
After={socket_unit}
# A configuration that is wrong is told to whoever asks; it shall not close the socket for the next ones.
StartLimitIntervalSec=60
StartLimitBurst=30

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
# Not the home folder: Python would import a json.py that lies there.
WorkingDirectory=/
{environment}\
WatchdogSec=60
Restart=on-failure
RestartSec=1
# Wrong settings: starting again does not help.
RestartPreventExitStatus=2
# The daemon alone is told to end: it has its worker write down what it has read.
KillMode=mixed
TimeoutStopSec=30
# A model too large for the memory ends its worker, not the daemon.
OOMPolicy=continue

UMask=0077
# A core file would hold questions and code.
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
# Netlink is how names are resolved; GPUs are devices, not sockets.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# Left out, because it would break something: PrivateDevices, DeviceAllow (the GPU), MemoryDenyWriteExecute (CUDA and
# Vulkan compile as they run), ProtectHome, ProtectSystem (workspaces lie anywhere, and models), PrivateTmp (sockets of
# editors and keyrings), PrivateNetwork, IPAddressDeny (API models), and everything else that needs a namespace: where
# the kernel grants users none, the service would not start.

[Install]
WantedBy=default.target
"""


def systemd_units(daemon: Daemon) -> dict[str, str]:
    """Their texts, by name. Raises UsageError where one of the values cannot stand on a line."""
    _refuse_control_characters(daemon)
    lines = [f"Environment={_quoted(f'{name}={value}')}\n" for name, value in sorted(daemon.environment.items())]
    return {
        SOCKET: _SOCKET_UNIT.format(socket=_listen_path(daemon)),
        SERVICE: _SERVICE_UNIT.format(
            socket_unit=SOCKET,
            command=" ".join(_quoted(word.replace("$", "$$")) for word in daemon.command),
            environment="".join(lines),
        ),
    }


def _refuse_control_characters(daemon: Daemon) -> None:
    """A line break in a value would begin a setting of its own."""
    for value in (*daemon.command, daemon.socket, *daemon.environment.values()):
        if any(character < " " for character in value):
            raise UsageError(f"a unit of systemd cannot hold {value!r}", hint="Rename the folder, or the variable.")


def _listen_path(daemon: Daemon) -> str:
    """%t stands for the user's runtime folder, wherever a login has it."""
    if daemon.runtime_dir and Path(daemon.socket).is_relative_to(daemon.runtime_dir):
        return f"%t/{_literal(str(Path(daemon.socket).relative_to(daemon.runtime_dir)))}"
    return _literal(daemon.socket)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a command or an assignment, as systemd reads it: % means something there, and so do quotes."""
    escaped = _literal(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(character in escaped for character in " \t\"'\\;") else escaped


def launchd_plist(daemon: Daemon) -> bytes:
    """The agent. launchd's own sockets need a call that Python has not; clients find the daemon's as ever."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": daemon.command,
        "WorkingDirectory": "/",
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 30,
        "Umask": 0o077,
        "HardResourceLimits": {"Core": 0},
        "ProcessType": "Interactive",
        "StandardOutPath": daemon.log,
        "StandardErrorPath": daemon.log,
        **({"EnvironmentVariables": dict(daemon.environment)} if daemon.environment else {}),
    }
    return plistlib.dumps(agent)
