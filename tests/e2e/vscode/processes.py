"""The processes of an instance of ingle: all that have its folders in their environment."""

from __future__ import annotations

from contextlib import suppress

import psutil

import support

__all__ = ["pids"]


def pids(instance: support.Instance, *words: str) -> list[int]:
    """Those with all of these words in their command line."""
    return [
        process.pid
        for process in psutil.process_iter()
        if _belongs(process, instance) and all(word in _command(process) for word in words)
    ]


def _belongs(process: psutil.Process, instance: support.Instance) -> bool:
    with suppress(psutil.Error):
        return process.environ().get("XDG_RUNTIME_DIR") == instance.xdg["XDG_RUNTIME_DIR"]
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
