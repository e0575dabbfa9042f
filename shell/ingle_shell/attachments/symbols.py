"""A symbol's definition as an attachment, by the index that the daemon keeps of the workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ingle_daemon.client import call
from ingle_daemon.errors import UsageError
from ingle_shell.attachments.attachment import Attachment

__all__ = ["attach"]


def attach(name: str, note: Callable[[str], object]) -> list[Attachment]:
    """The definitions of `name` in the workspace around the current folder; none where it has none."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # somebody removed it
        return []
    root, told = _workspace(here), False
    try:
        while True:
            answer = call("POST", "/ingle/symbol", {"root": str(root), "name": name})
            if answer["state"] != "scanning":
                break
            if not told:
                note(f"reading {root} to find {name}")
                told = True
    except UsageError as error:  # the folder is too much for a workspace
        note(f"@{name} was not looked up: {error.message}")
        return []
    return [_attachment(name, root / each["path"], here, each) for each in answer["found"]]


def _attachment(name: str, path: Path, here: Path, found: dict[str, object]) -> Attachment:
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return Attachment(f"{shown}:{found['line']} ({name})", str(found["text"]), str(path))


def _workspace(here: Path) -> Path:
    """The repository around the folder, or that folder."""
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
