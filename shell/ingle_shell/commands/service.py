"""`ingle service`: hands the daemon to the user's service manager, and takes it back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingle_daemon.errors import IngleError
from ingle_shell import service, units
from ingle_shell.commands.base import Command, add_group
from ingle_shell.commands.base import add as _add
from ingle_shell.commands.daemon import stop
from ingle_shell.commands.steps import Step, carry_out

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Declare it."""
    parser = commands.add_parser("service", help="have systemd or launchd start the daemon")
    verbs = add_group(parser)
    said = Command(_install, lambda answer: str(answer["said"]))
    install = _add(verbs, "install", "write the units, and let their socket start the daemon", said, as_json=True)
    install.add_argument("--preload", action="store_true", help="start it, and load the model, at login")
    uninstall = _add(
        verbs,
        "uninstall",
        "take them away again: the clients start the daemon",
        Command(_uninstall, lambda answer: str(answer["said"])),
        as_json=True,
    )
    for verb in (install, uninstall):
        verb.add_argument("-y", "--yes", action="store_true", help="do not ask")
    _add(verbs, "status", "whether they are there, and what they do", Command(_status, _told_status), as_json=True)


def _install(options: argparse.Namespace) -> dict[str, Any]:
    files = service.wanted()
    steps = [_writing(unit) for unit in files]
    steps += _starting_launchd(files[0].path) if _is_mac() else _starting_systemd(preload=options.preload)
    if not carry_out(steps, yes=options.yes):
        return {"done": [], "said": "nothing was changed"}
    return {"done": [step.words for step in steps], "said": "installed; `ingle service status` shows it"}


def _uninstall(options: argparse.Namespace) -> dict[str, Any]:
    files = service.found()
    if not files:
        return {"done": [], "said": "no service of ingle's is installed"}
    if _is_mac():
        steps = [_running(service.launchctl, "bootout", f"gui/{os.getuid()}/{units.LABEL}")]
    else:
        steps = [_running(service.systemctl, "disable", "--now", *(path.name for path in files))]
    steps += [Step(f"remove {path}", path.unlink) for path in files]
    if not _is_mac():
        steps.append(_running(service.systemctl, "daemon-reload"))
    if not carry_out(steps, yes=options.yes):
        return {"done": [], "said": "nothing was changed"}
    return {"done": [step.words for step in steps], "said": "removed: the clients start ingled again"}


def _is_mac() -> bool:
    return sys.platform == "darwin"


# --- steps ----------------------------------------------------------------------------------------------------------


def _writing(unit: service.Unit) -> Step:
    """Write a file, its text said first; taken back, what stood there before stands there again."""
    before = unit.path.read_bytes() if unit.path.exists() else None
    lines = "".join(f"    {line}\n" for line in unit.text.decode().splitlines())
    words = f"{'write' if before is None else 'replace'} {unit.path}:\n{lines.rstrip()}"
    return Step(words, lambda: _write(unit.path, unit.text), lambda: _restore(unit.path, before))


def _write(path: Path, text: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(text)
        fresh.replace(path)
    except OSError as exc:
        raise IngleError(f"cannot write {path}: {exc.strerror}", hint="Make it writable, or make room.") from exc


def _restore(path: Path, before: bytes | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(before)


def _running(program: Callable[..., str], *arguments: str) -> Step:
    return Step(f"run {_command(program, *arguments)}", lambda: program(*arguments))


def _command(program: Callable[..., str], *arguments: str) -> str:
    return " ".join(["systemctl --user" if program is service.systemctl else "launchctl", *arguments])


def _starting_systemd(*, preload: bool) -> Iterator[Step]:
    yield _running(service.systemctl, "daemon-reload")
    enabled = [units.SOCKET, *([units.SERVICE] if preload else [])]
    commands = [("enable", *enabled), *([] if preload else [("disable", units.SERVICE)]), ("start", *enabled)]

    def hand_over() -> None:
        with service.handing_over():
            service.systemctl("stop", units.SOCKET, units.SERVICE)  # a socket cannot be started beside its service
            stop(None)
            for command in commands:
                service.systemctl(*command)

    def take_back() -> None:
        service.systemctl("disable", "--now", units.SOCKET, units.SERVICE)

    told = ", then ".join(_command(service.systemctl, *command) for command in commands)
    yield Step(f"end the daemon, if it runs, and run {told}", hand_over, take_back)


def _starting_launchd(path: Path) -> Iterator[Step]:
    domain = f"gui/{os.getuid()}"

    def hand_over() -> None:
        with service.handing_over():
            stop(None)
            service.launchctl("bootstrap", domain, str(path))

    yield Step(f"end the daemon, if it runs, and run launchctl bootstrap {domain} {path}", hand_over)


# --- status ---------------------------------------------------------------------------------------------------------


def _status(_: argparse.Namespace) -> dict[str, Any]:
    state = service.state()
    return {
        "manager": state.manager,
        "files": list(state.files),
        "current": state.current,
        "enabled": state.enabled,
        "active": state.active,
    }


def _told_status(answer: dict[str, Any]) -> str:
    if not answer["manager"]:
        return "no service manager answers here: the clients start ingled"
    if not answer["files"]:
        return "no service of ingle's is installed: the clients start ingled"
    lines = []
    for file in answer["files"]:
        name = Path(file).name
        words = [answer["enabled"].get(name), answer["active"].get(name)]
        lines.append(f"{file}{': ' + ', '.join(word for word in words if word) if any(words) else ''}")
    if not answer["current"]:
        lines.append("not as this version writes them: `ingle service install` does")
    return "\n".join(lines)
