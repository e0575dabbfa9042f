"""The list of checks: each judges the facts by itself and says what to type where something is wrong. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Literal

import msgspec

from ingle_shell.doctor.facts import Configuration, Facts, Folder, Gpu, Inspection, Provider, Running
from ingle_shell.render import size

__all__ = ["CHECKS", "Finding", "Level", "examine"]

Level = Literal["ok", "warning", "problem"]

_OLDEST_PYTHON = (3, 10)
_SLOW_MS = 500.0
_LITTLE_DISK, _HARDLY_ANY_DISK = 2_000_000_000, 200_000_000


class Finding(msgspec.Struct, frozen=True):
    """What one check says. `fix` is what to type, or to do."""

    name: str
    level: Level
    what: str
    fix: str = ""


_Judged = tuple[Level, str, str]


def examine(facts: Facts) -> list[Finding]:
    """All findings, in the order of the list."""
    return [Finding(name, *check(facts)) for name, check in CHECKS]


# --- the program and its daemon -------------------------------------------------------------------------------------


def _python(facts: Facts) -> _Judged:
    program = facts.program
    told = f"Python {'.'.join(map(str, program.python))} ({program.executable}), {program.system}"
    if program.python[:2] < _OLDEST_PYTHON:
        return "problem", told, "install ingle with Python 3.10 or later"
    return "ok", told, ""


def _ingle(facts: Facts) -> _Judged:
    told = f"ingle {facts.program.version} in {facts.program.place}"
    running = facts.running
    if running and running.version != facts.program.version:
        return "warning", f"{told}, but the daemon that runs is {running.version}", "ingle stop"
    return "ok", told, ""


def _daemon(facts: Facts) -> _Judged:
    running = facts.running
    if running is None:
        if facts.listening:
            return "problem", f"somebody listens on the socket, and: {facts.silence}", "ingle stop; or: pkill ingled"
        if facts.silence:
            return "problem", f"it does not start: {facts.silence}", "ingle doctor --start, once that is put right"
        return "warning", "ingled is not running", "ingle doctor --start (or any `ask`)"
    told = f"ingled {running.version} runs, process {running.pid}, answered in {running.answered_ms:.0f} ms"
    if running.backend != "local":
        return (
            "warning",
            f"{told}; INGLE_BACKEND={running.backend}: no model answers",
            "unset INGLE_BACKEND; ingle stop",
        )
    if running.answered_ms > _SLOW_MS:
        return "warning", f"{told}: that is slow", "look at what else this machine does: top"
    return "ok", told, ""


def _socket(facts: Facts) -> _Judged:
    sock = facts.socket
    if not sock.exists:
        return ("problem" if facts.running else "ok"), f"no socket at {sock.path}: the daemon makes it", ""
    if not sock.ours:
        return "problem", f"{sock.path} belongs to another user", f"sudo rm {shlex.quote(sock.path)}"
    if sock.mode & 0o177:
        return "problem", f"{sock.path} has mode {sock.mode:04o}: others may ask", f"chmod 600 {shlex.quote(sock.path)}"
    if facts.running is None and not facts.listening:
        return "ok", f"{sock.path} was left by a daemon that is gone; the next one replaces it", ""
    return "ok", f"{sock.path}, mode {sock.mode:04o}", ""


# --- what the daemon's side found -----------------------------------------------------------------------------------


def _of_inspection(check: Callable[[Facts, Inspection], _Judged]) -> Callable[[Facts], _Judged]:
    def judged(facts: Facts) -> _Judged:
        if facts.inspection is None:
            return "problem", f"could not be looked at: {facts.mute}", "install ingle anew"
        return check(facts, facts.inspection)

    return judged


def _llama(_: Facts, found: Inspection) -> _Judged:
    llama = found.llama
    if llama.problem:
        fix = "pip install --force-reinstall --no-cache-dir llama-cpp-python"
        return "problem", f"llama.cpp cannot be loaded: {llama.problem}", fix
    return "ok", f"llama-cpp-python {llama.version} for {', '.join(llama.backends)}: {_flags(llama.flags)}", ""


def _gpu(_: Facts, found: Inspection) -> _Judged:
    gpus = found.gpus
    told = "; ".join(_told_gpu(gpu) for gpu in gpus.found)
    if gpus.advice:
        command = re.search(r":\s+(\S+ -m pip install .+)", gpus.advice)
        return "warning", gpus.advice[: command.start()] if command else gpus.advice, command[1] if command else ""
    used = [device for device in found.llama.devices if not device.endswith("(cpu)")]
    if used:
        return "ok", f"llama.cpp uses {', '.join(used)}" + (f"; {told}, driver {gpus.driver}" if told else ""), ""
    return "ok", "no GPU that llama.cpp could use: the CPU computes", ""


def _told_gpu(gpu: Gpu) -> str:
    if gpu.total_bytes is None or gpu.free_bytes is None:
        return gpu.name
    return f"{gpu.name}: {size(gpu.free_bytes)} of {size(gpu.total_bytes)} free"


def _flags(system: str) -> str:
    """What llama.cpp says of its build ("CPU : SSE3 = 1 | AVX = 1"), shorter."""
    return " ".join(part.strip().removesuffix(" = 1") for part in system.split("|"))


def _model(facts: Facts, found: Inspection) -> _Judged:
    model, running = found.model, facts.running
    if found.configuration.engine_host:
        return "ok", f"the team's engine at {found.configuration.engine_host} answers; this machine's stands in", ""
    if running and running.model.state == "failed":
        return "problem", running.model.error or "the model does not load", "ingle model list; ingle model use NAME"
    if model.problem:
        return "problem", model.problem, model.hint or "ingle model pull"
    state = f", {running.model.state}" if running and running.model.state else ""
    return "ok", f"{model.name}, {size(model.size_bytes)}, the file is whole{state}", ""


def _completion(facts: Facts, _: Inspection) -> _Judged:
    running = facts.running
    if running is None or running.model.state != "ready":
        return "ok", "whether the model fills in the middle is tried when it is loaded: not loaded now", ""
    model = running.model
    note = f": {model.note}" if model.note else ""
    if not model.fim:
        told = f"{model.name} does not fill in the middle, it continues what stands before the cursor{note}"
        return "warning", told, _completing(running)
    return "ok", f"{model.name} fills in the middle ({model.fim}){note}", ""


def _completing(running: Running) -> str:
    """What to type to have a model that completes."""
    name = running.recommended
    if name in ("", running.model.name):
        return "ingle model recommend"
    use = f"ingle model use {name}"
    return use if name in running.installed else f"ingle model pull {name} && {use}"


def _configuration(facts: Facts, found: Inspection) -> _Judged:
    said: Configuration = found.configuration
    if said.problem:
        what = "; ingled keeps what it had" if facts.running and facts.running.config_problem else ""
        return "problem", f"{said.problem}{what}", f"edit {shlex.quote(said.path)}; see docs/configuration.md"
    if said.models_problem:
        file = said.models_problem.partition(":")[0]
        return "problem", said.models_problem, f"edit {shlex.quote(file)}; see docs/models.md"
    if not said.exists:
        return "ok", f"no {said.path}: every setting is at its default", ""
    return "ok", f"{said.path}, every setting known{', offline' if said.offline else ''}", ""


def _workspace(_: Facts, found: Inspection) -> _Judged:
    for file in found.rule_files:
        if file.problem:
            return "warning", f"{file.problem}: nothing leaves this workspace", f"edit {shlex.quote(file.path)}"
    if not found.rule_files:
        return "ok", "no .ingle.toml holds for this folder", ""
    return "ok", f"{', '.join(file.path for file in found.rule_files)} can be read", ""


def _api(_: Facts, found: Inspection) -> _Judged:
    if not found.providers:
        return "ok", "no API model is configured: nothing leaves", ""
    if found.configuration.offline:
        return "ok", "`offline = true`: no provider was asked", ""
    level: Level = "warning" if any(_is_silent(provider) for provider in found.providers) else "ok"
    fix = "check the network and [api] url" if level == "warning" else ""
    return level, "; ".join(_told_provider(provider) for provider in found.providers), fix


def _is_silent(provider: Provider) -> bool:
    return provider.asked and not provider.status


def _told_provider(provider: Provider) -> str:
    if not provider.consent:
        return f"{provider.host}: no consent, not asked"
    if _is_silent(provider):
        return f"{provider.host}: {provider.problem}"
    wants = ", wants a key" if provider.status in (401, 403) else ""
    return f"{provider.host} answers (HTTP {provider.status}, {provider.ms:.0f} ms{wants})"


def _keyring(_: Facts, found: Inspection) -> _Judged:
    if found.keyring.usable:
        return "ok", found.keyring.backend, ""
    if found.configuration.names_key:
        fix = "use [api] key_env or key_command, or install a keyring (gnome-keyring, kwallet)"
        return "problem", "[api] key names an entry of the keyring, and there is no keyring", fix
    return "ok", "no keyring here, and no setting needs one", ""


# --- the machine around it ------------------------------------------------------------------------------------------


def _folders(facts: Facts) -> _Judged:
    wrong = [(said, fix) for folder in facts.folders for said, fix in _wrong_with(folder)]
    if wrong:
        return "problem", "; ".join(said for said, _ in wrong), "; ".join(fix for _, fix in wrong)
    return "ok", "all are yours, and closed to others where they have to be", ""


def _wrong_with(folder: Folder) -> list[tuple[str, str]]:
    path = shlex.quote(folder.path)
    if not folder.exists:
        return [] if folder.writable else [(f"{folder.path} cannot be made", f"mkdir -p {path}")]
    if not folder.ours:
        return [(f"{folder.path} belongs to another user", f'sudo chown -R "$(id -un)" {path}')]
    if not folder.writable:
        return [(f"{folder.path} cannot be written to", f"chmod u+rwx {path}")]
    if folder.private and folder.mode & 0o077:
        return [(f"{folder.path} has mode {folder.mode:04o}: others may look in", f"chmod 700 {path}")]
    if folder.mode & 0o022:
        return [(f"{folder.path} has mode {folder.mode:04o}: others may write there", f"chmod go-w {path}")]
    return []


def _disk(facts: Facts) -> _Judged:
    free: dict[str, list[str]] = {}
    for folder in facts.folders:
        free.setdefault(size(folder.free_bytes), []).append(folder.what)
    told = "; ".join(f"{room} free for {', '.join(what)}" for room, what in free.items())
    least = min((folder.free_bytes for folder in facts.folders), default=_LITTLE_DISK)
    if least < _HARDLY_ANY_DISK:
        return "problem", told, "make room: df -h ~"
    models = next((folder for folder in facts.folders if folder.what == "data"), None)
    if models and models.free_bytes < _LITTLE_DISK:
        return "warning", f"{told}: too little for another model", f"du -sh {shlex.quote(models.path)}/models/*"
    return "ok", told, ""


def _editors(facts: Facts) -> _Judged:
    if not facts.plugins:
        return "ok", "neither Neovim nor VS Code is on PATH", ""
    told = ", ".join(f"{plugin.editor} {plugin.version or 'without the plugin'}" for plugin in facts.plugins)
    if old := [plugin.setup for plugin in facts.plugins if not plugin.current]:
        return "warning", f"{told}: not the plugin of this version", "; ".join(dict.fromkeys(old))
    without = dict.fromkeys(plugin.setup for plugin in facts.plugins if not plugin.version)
    return "ok", told, f"to have it: {'; '.join(without)}" if without else ""


def _shell(facts: Facts) -> _Judged:
    have = [f"{shell.name} ({shell.file})" for shell in facts.shells if shell.has_line]
    mine = next((shell for shell in facts.shells if shell.login), None)
    told = f"the integration is in {', '.join(have)}" if have else "no shell has the integration"
    if mine and not mine.has_line:
        return "ok", told, f"to have it in {mine.name}, a line in {mine.file}: {mine.line}"
    return "ok", told, ""


def _log(facts: Facts) -> _Judged:
    log = facts.log
    if log is None or not log.exists:
        return "ok", "no log yet", ""
    if not log.errors:
        return "ok", f"{log.path}: no errors in the last {log.hours} h, {log.warnings} warnings", ""
    told = ", ".join(f"{count} from {module}" for module, count in sorted(log.errors.items()))
    return "warning", f"{log.path}, the last {log.hours} h: errors, {told}", _shows(log.path)


def _shows(log: str) -> str:
    """The command that shows a log: a path, or the journal's own command."""
    return log if log.startswith("journalctl") else f"tail {shlex.quote(log)}"


def _service(facts: Facts) -> _Judged:
    service = facts.service
    if not service.manager:
        return "ok", "no service manager answers here: the clients start ingled", ""
    if not service.files:
        return "ok", "not installed: the clients start ingled", "to have it: ingle service install"
    told = "; ".join(f"{unit} {state}" for unit, state in service.states.items()) or ", ".join(service.files)
    if any("failed" in state for state in service.states.values()):
        return "problem", told, "systemctl --user reset-failed; ingle service install"
    if not service.current:
        return "warning", f"{told}: not as this version writes it", "ingle service install"
    if any(unit.endswith(".socket") and not state.endswith(", active") for unit, state in service.states.items()):
        return "warning", told, "ingle service install"
    return "ok", told, ""


CHECKS: tuple[tuple[str, Callable[[Facts], _Judged]], ...] = (
    ("python", _python),
    ("ingle", _ingle),
    ("daemon", _daemon),
    ("socket", _socket),
    ("llama.cpp", _of_inspection(_llama)),
    ("gpu", _of_inspection(_gpu)),
    ("model", _of_inspection(_model)),
    ("completion", _of_inspection(_completion)),
    ("configuration", _of_inspection(_configuration)),
    ("workspace", _of_inspection(_workspace)),
    ("api", _of_inspection(_api)),
    ("keyring", _of_inspection(_keyring)),
    ("folders", _folders),
    ("disk", _disk),
    ("editors", _editors),
    ("shell", _shell),
    ("log", _log),
    ("service", _service),
)
