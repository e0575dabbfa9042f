"""What may be shown to a stranger: an archive for a bug report, made of an explicit list of fields and nothing else.

No text that somebody typed is in it: no message of an error, no name of a model that the catalog does not have, no
host, no line of a log, a configuration, a journal or a ledger. In paths the home folder is `~`, the user's name USER.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingle_daemon.errors import UsageError
from ingle_shell.doctor.checks import Finding
from ingle_shell.doctor.facts import Facts, Inspection, Running

__all__ = ["contents", "write"]

_SAYS = """This is what `ingle doctor --bundle` found: versions, levels, counts, sizes, and paths of ingle itself.
It holds no question, no answer, no code, no key, no log, and no name of yours. Read report.json before you send it.
"""


def contents(facts: Facts, findings: Sequence[Finding], *, home: str, user: str) -> dict[str, Any]:
    """The report. Every field of it is named here."""

    def hidden(path: str) -> str:
        """A path without the user in it."""
        path = re.sub(rf"^{re.escape(home.rstrip('/'))}(?=/|$)", "~", path) if home.strip("/") else path
        return re.sub(rf"(?<![^/._-]){re.escape(user)}(?![^/._-])", "USER", path) if user else path

    return {
        "program": {
            "version": facts.program.version,
            "python": list(facts.program.python),
            "executable": hidden(facts.program.executable),
            "place": hidden(facts.program.place),
            "system": facts.program.system,
        },
        "levels": {finding.name: finding.level for finding in findings},
        "socket": {"path": hidden(facts.socket.path), "exists": facts.socket.exists, "mode": oct(facts.socket.mode)},
        "running": _running(facts.running),
        "listening": facts.listening,
        "inspection": _inspection(facts.inspection),
        "folders": [
            {
                "what": folder.what,
                "path": hidden(folder.path),
                "exists": folder.exists,
                "mode": oct(folder.mode),
                "ours": folder.ours,
                "writable": folder.writable,
                "free_bytes": folder.free_bytes,
            }
            for folder in facts.folders
        ],
        "plugins": [{"editor": plugin.editor, "current": plugin.current} for plugin in facts.plugins],
        "shells": [{"name": shell.name, "has_line": shell.has_line} for shell in facts.shells],
        "service": {
            "manager": facts.service.manager,
            "installed": bool(facts.service.files),
            "current": facts.service.current,
            "states": facts.service.states,
        },
        "log": {"errors": facts.log.errors, "warnings": facts.log.warnings} if facts.log else None,
    }


def _running(running: Running | None) -> dict[str, Any] | None:
    if running is None:
        return None
    return {
        "version": running.version,
        "uptime_s": running.uptime_s,
        "answered_ms": round(running.answered_ms, 1),
        "backend": running.backend,
        "model_state": running.model.state,
        "n_ctx": running.model.n_ctx,
        "fim": running.model.fim,
        "where": running.model.where,
    }


def _inspection(found: Inspection | None) -> dict[str, Any] | None:
    if found is None:
        return None
    model = found.model
    return {
        "llama": {
            "version": found.llama.version,
            "backends": list(found.llama.backends),
            "devices": list(found.llama.devices),
            "flags": found.llama.flags,
            "loads": not found.llama.problem,
        },
        "gpus": {
            "found": [
                {"name": gpu.name, "total_bytes": gpu.total_bytes, "free_bytes": gpu.free_bytes}
                for gpu in found.gpus.found
            ],
            "driver": found.gpus.driver,
            "used": not found.gpus.advice,
        },
        "model": {
            "name": model.name if model.in_catalog else "",
            "size_bytes": model.size_bytes,
            "usable": not model.problem,
            "installed": model.installed,
        },
        "configuration": {
            "exists": found.configuration.exists,
            "valid": not found.configuration.problem,
            "models_valid": not found.configuration.models_problem,
            "offline": found.configuration.offline,
            "team_engine": bool(found.configuration.engine_host),
        },
        "providers": [
            {"consent": provider.consent, "status": provider.status, "ms": provider.ms} for provider in found.providers
        ],
        "keyring": found.keyring.backend,
        "rule_files": len(found.rule_files),
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Make the archive. Raises UsageError when the file is there already, or cannot be made."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", _SAYS)
            archive.writestr("report.json", json.dumps(report, indent=2))
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror}", hint="Name a file that is not there yet.") from exc
