"""Finding out: the daemon, the socket, folders, editors, shells, the log. It changes nothing and judges nothing.

What only the daemon's side can find out (configuration, model, llama.cpp) is asked of `ingle_daemon.inspection` in a
process of its own, so that it is there without a daemon too.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

import ingle_daemon
import ingle_shell
from ingle_daemon import __version__, paths
from ingle_daemon.client import call, environment
from ingle_daemon.errors import DaemonUnreachable, IngleError
from ingle_shell import service
from ingle_shell.commands import setup
from ingle_shell.doctor.facts import (
    Facts,
    Folder,
    Inspection,
    Log,
    Plugin,
    Program,
    Running,
    RunningModel,
    Service,
    Shell,
    Socket,
)

__all__ = ["gather"]

_PATIENCE_S = 3.0
_INSPECTION_S = 90.0
_LOG_HOURS = 24
_JOURNAL_S = 10.0
_LOG_BYTES = 1 << 20
_SHELL_LINES = {
    "bash": (".bashrc", 'eval "$(ingle init bash)"'),
    "zsh": (".zshrc", 'eval "$(ingle init zsh)"'),
    "fish": ("fish/config.fish", "ingle init fish | source"),
}


def gather(*, start: bool) -> Facts:
    """Everything. With `start` a daemon is started where none runs."""
    running, silence = _running(start=start)
    inspection, mute = _inspection()
    return Facts(
        program=_program(),
        socket=_socket(),
        running=running,
        silence="" if running else silence,
        listening=running is None and _somebody_listens(),
        inspection=inspection,
        mute=mute,
        folders=tuple(_folders()),
        plugins=tuple(_plugins()),
        shells=tuple(_shells()),
        log=_journal(running.journal) if running and running.journal else _log(paths.log_file()),
        service=_service(),
    )


def _program() -> Program:
    major, minor, micro = sys.version_info[:3]
    return Program(
        version=__version__,
        python=(major, minor, micro),
        executable=sys.executable,
        place=str(Path(ingle_shell.__file__).parent.parent),
        system=platform.platform(),
    )


# --- the daemon -----------------------------------------------------------------------------------------------------


def _running(*, start: bool) -> tuple[Running | None, str]:
    """The daemon that answers, or why none does; "" where none runs and none was to be started."""
    try:
        if start:
            call("GET", "/ingle/status")
        began = time.monotonic()
        status = call("GET", "/ingle/status", autostart=False, patience=_PATIENCE_S)
    except DaemonUnreachable as exc:
        return None, exc.message if start or exc.__cause__ else ""
    except IngleError as exc:
        return None, exc.message
    took = time.monotonic() - began
    model = msgspec.convert({**(status["model"].get("info") or {}), **status["model"]}, RunningModel)
    recommended, installed = _others() if model.state == "ready" and not model.fim else ("", ())
    return (
        Running(
            version=status["version"],
            pid=status["pid"],
            uptime_s=status["uptime_s"],
            answered_ms=1000 * took,
            backend=status["backend"],
            model=model,
            config_problem=status.get("config_problem", ""),
            journal=status.get("journal", ""),
            recommended=recommended,
            installed=installed,
        ),
        "",
    )


def _others() -> tuple[str, tuple[str, ...]]:
    """The model to take on this machine, and those that are installed; nothing where the daemon does not say."""
    try:
        models = call("GET", "/ingle/models", autostart=False, patience=_PATIENCE_S)
    except IngleError:
        return "", ()
    return (models.get("recommended") or {}).get("name", ""), tuple(model["name"] for model in models["installed"])


def _somebody_listens() -> bool:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        with contextlib.suppress(OSError):
            probe.connect(str(paths.socket_file()))
            return True
    return False


def _socket() -> Socket:
    path = paths.socket_file()
    try:
        status = path.lstat()
    except OSError:
        return Socket(path=str(path), exists=False)
    return Socket(path=str(path), exists=True, mode=status.st_mode & 0o7777, ours=status.st_uid == os.getuid())


def _inspection() -> tuple[Inspection | None, str]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ingle_daemon.inspection", str(Path.cwd())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            cwd="/",
            timeout=_INSPECTION_S,
            check=False,
        )
        if done.returncode:
            return None, done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return msgspec.json.decode(done.stdout, type=Inspection), ""
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError) as exc:
        return None, str(exc)


# --- folders --------------------------------------------------------------------------------------------------------


def _folders() -> Iterator[Folder]:
    yield _folder("runtime", paths.runtime_dir(), private=True)
    yield _folder("state", paths.state_dir(), private=True)
    yield _folder("data", paths.data_dir())
    yield _folder("cache", paths.cache_dir())
    yield _folder("configuration", paths.config_file().parent)


def _folder(what: str, path: Path, *, private: bool = False) -> Folder:
    exists = path.exists()
    place = next((place for place in (path, *path.parents) if place.exists()), Path("/"))
    status = place.stat()
    return Folder(
        what=what,
        path=str(path),
        private=private,
        exists=exists,
        mode=status.st_mode & 0o7777,
        ours=status.st_uid == os.getuid(),
        writable=os.access(place, os.W_OK | os.X_OK),
        free_bytes=shutil.disk_usage(place).free,
    )


# --- editors and shells ---------------------------------------------------------------------------------------------


def _plugins() -> Iterator[Plugin]:
    """Editors are not run: they take a second each, and what they have lies in their folders."""
    if shutil.which("nvim"):
        installed = setup.neovim_folder()
        current = not installed.exists() or setup.is_current_neovim(installed)
        version = "with the plugin" if installed.exists() else ""
        yield Plugin(editor="Neovim", setup="ingle setup neovim", version=version, current=current)
    for program, folder in setup.VSCODES.items():
        if shutil.which(program):
            version = _extension(Path.home() / folder)
            current = version in ("", __version__)
            yield Plugin(editor=program, setup="ingle setup vscode", version=version, current=current)


def _extension(folder: Path) -> str:
    """The version of ingle's extension in a VS Code's folder of extensions; "" where there is none."""
    found = sorted(folder.glob(f"{setup.EXTENSION}-*/package.json"))
    if not found:
        return ""
    try:
        return str(json.loads(found[-1].read_bytes())["version"])
    except (OSError, ValueError, KeyError):
        return "unreadable"


def _shells() -> Iterator[Shell]:
    login = Path(os.environ.get("SHELL", "")).name
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    homes = {"bash": Path.home(), "zsh": Path(os.environ.get("ZDOTDIR") or Path.home()), "fish": config}
    for name, (file, line) in _SHELL_LINES.items():
        path = homes[name] / file
        if name == login or shutil.which(name):
            yield Shell(name=name, login=name == login, file=str(path), has_line=_has_line(path, name), line=line)


def _has_line(file: Path, shell: str) -> bool:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(rf"^[^#\n]*\bingle init {shell}\b", text, re.MULTILINE) is not None


def _service() -> Service:
    state = service.state()
    states = {unit: f"{state.enabled[unit]}, {state.active[unit]}" for unit in state.enabled}
    return Service(manager=state.manager, files=state.files, current=state.current, states=states)


# --- the log --------------------------------------------------------------------------------------------------------


def _log(path: Path) -> Log:
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _LOG_BYTES, 0))
            lines = file.read().splitlines()
    except OSError:
        return Log(path=str(path), exists=False, hours=_LOG_HOURS)
    errors: Counter[str] = Counter()
    warnings = 0
    for level, module in _recent(lines, time.time() - _LOG_HOURS * 3600):
        errors.update([module] if level == "error" else [])
        warnings += level == "warning"
    return Log(path=str(path), exists=True, hours=_LOG_HOURS, errors=dict(errors), warnings=warnings)


def _journal(command: str) -> Log:
    """The same, where systemd keeps it."""
    since = [f"--since=-{_LOG_HOURS}h", "--priority=warning", "--output=json", "--output-fields=MESSAGE,PRIORITY"]
    try:
        done = subprocess.run(
            [*command.split(), *since, "--quiet"], capture_output=True, timeout=_JOURNAL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Log(path=command, exists=False, hours=_LOG_HOURS)
    errors: Counter[str] = Counter()
    warnings = 0
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # a message of bytes is a list
            entry = json.loads(line)
            if entry["PRIORITY"] == "4":
                warnings += 1
            else:
                errors[_module(entry["MESSAGE"].partition(":")[0])] += 1
    return Log(path=command, exists=True, hours=_LOG_HOURS, errors=dict(errors), warnings=warnings)


def _recent(lines: list[bytes], since: float) -> Iterator[tuple[str, str]]:
    """Level and module of each line since then. What is no line of the log's is not looked at."""
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            entry = json.loads(line)
            if datetime.fromisoformat(entry["time"]).timestamp() >= since:
                yield entry["level"], _module(entry["logger"])


def _module(logger: str) -> str:
    """The name of the module of ours that wrote; "others" for any other text that stands there."""
    package, _, rest = logger.partition(".")
    if package == "ingle_daemon" and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", rest):
        place = Path(ingle_daemon.__file__).parent.joinpath(*rest.split("."))
        if place.with_suffix(".py").exists() or place.is_dir():
            return rest
    return "others"
