"""`ingle setup`: puts the plugins that come with ingle where their editors look for them, and takes them away again.

What will be done is said first, and asked about on a terminal. This module knows folders and the editors' own programs;
it knows nothing of what is in a plugin, and needs no daemon.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ingle_daemon.errors import IngleError, UsageError, reason
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.commands.steps import Step, carry_out

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["EXTENSION", "VSCODES", "add", "is_current_neovim", "neovim_folder"]

EXTENSION = "ingle.ingle"
VSCODES = {
    "code": ".vscode/extensions",
    "codium": ".vscode-oss/extensions",
    "code-server": ".local/share/code-server/extensions",
    "cursor": ".cursor/extensions",
}
"""Programs, and where below the home folder each keeps its extensions."""
_SEVERAL_MINUTES = 300.0


def add(commands: Commands) -> None:
    """Declare it."""
    parser = _add(
        commands,
        "setup",
        "install the plugin for an editor, or remove it",
        Command(_setup, lambda answer: str(answer["said"])),
        as_json=True,
    )
    parser.epilog = "Other editors need no plugin: see editors/README.md in ingle's repository."
    parser.add_argument("editor", choices=sorted(_EDITORS), metavar="EDITOR", help=" or ".join(sorted(_EDITORS)))
    parser.add_argument("--undo", action="store_true", help="remove it again")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _setup(options: argparse.Namespace) -> dict[str, object]:
    steps = _EDITORS[options.editor](undo=options.undo)
    if not steps:
        return {"editor": options.editor, "done": [], "said": f"no plugin of ingle's is installed in {options.editor}"}
    if not carry_out(steps, yes=options.yes):
        return {"editor": options.editor, "done": [], "said": "nothing was changed"}
    said = "removed" if options.undo else f"installed; start {options.editor} anew"
    return {"editor": options.editor, "done": [step.words for step in steps], "said": said}


def _bundled(name: str, how_to_make: str) -> Path:
    """A plugin as the wheel carries it; in an editable installation, as it lies in the repository."""
    package = Path(__file__).parents[1] / "editors"
    repository = Path(__file__).parents[3] / "editors"
    for place in (package, repository):
        if (place / name).exists():
            return place / name
    raise IngleError(f"this installation of ingle carries no {name}", hint=how_to_make)


# --- Neovim ---------------------------------------------------------------------------------------------------------


def _neovim(*, undo: bool) -> list[Step]:
    """Copy the plugin into Neovim's package folder, which it reads when it starts; nothing of the user's is changed."""
    target = neovim_folder()
    if target.is_symlink() or (target.exists() and not (target / "lua/ingle/init.lua").exists()):
        raise UsageError(f"{target} is not a copy of the plugin", hint="Remove it by hand if it is not needed.")
    if undo:
        return [Step(f"remove {target}", lambda: _remove(target))] if target.exists() else []
    source = _bundled("neovim", "Install it from the package index, or from ingle's repository.")
    words = f"{'replace' if target.exists() else 'write'} {target}: Neovim's plugin, {_weight(source)}"
    return [Step(words, lambda: _copy(source, target))]


def neovim_folder() -> Path:
    """Where the plugin lies: below Neovim's stdpath('data')."""
    return _data_folder() / (os.environ.get("NVIM_APPNAME") or "nvim") / "site/pack/ingle/start/ingle"


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")


def is_current_neovim(folder: Path) -> bool:
    """Whether the plugin in `folder` is the one that this installation carries; also where it carries none."""
    try:
        bundled = _bundled("neovim", "")
    except IngleError:
        return True
    return _digests(folder) == _digests(bundled)


def _digests(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in files}


def _weight(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1000:.0f} kB"


def _copy(source: Path, target: Path) -> None:
    """Put it there whole, or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ingle-", dir=target.parent.parent) as scratch:
            fresh = Path(scratch) / "new"
            shutil.copytree(source, fresh)
            if target.exists():
                target.rename(Path(scratch) / "old")
            fresh.rename(target)
    except OSError as exc:
        raise IngleError(f"cannot write {target}: {exc.strerror}", hint="Make it writable, or make room.") from exc


def _remove(target: Path) -> None:
    """Remove it, and the folders around it that are for it alone: those that hold nothing now."""
    try:
        shutil.rmtree(target)
        for folder in target.parents:
            if folder == _data_folder() or folder.is_symlink() or any(folder.iterdir()):
                break
            folder.rmdir()
    except OSError as exc:
        raise IngleError(f"cannot remove {target}: {exc.strerror}", hint="Remove it by hand.") from exc


# --- VS Code --------------------------------------------------------------------------------------------------------


def _vscode(*, undo: bool) -> list[Step]:
    """Have every VS Code on PATH install the extension by itself."""
    programs = [found for name in VSCODES if (found := shutil.which(name))]
    if not programs:
        raise UsageError(f"none of {', '.join(VSCODES)} is on PATH", hint="Install one, or add its folder to PATH.")
    if undo:
        arguments = ["--uninstall-extension", EXTENSION]
    else:
        vsix = _bundled("vscode/ingle.vsix", "In ingle's repository, `npm run package` in editors/vscode makes it.")
        arguments = ["--install-extension", str(vsix), "--force"]
    return [Step(f"run {' '.join([program, *arguments])}", _running(program, arguments)) for program in programs]


def _running(program: str, arguments: list[str]) -> Callable[[], None]:
    def run() -> None:
        try:
            done = subprocess.run(
                [program, *arguments], capture_output=True, text=True, timeout=_SEVERAL_MINUTES, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise IngleError(f"{program} could not be run: {reason(exc)}", hint="Run it by hand, to see more.") from exc
        if done.returncode:
            told = (done.stderr or done.stdout).strip()
            raise IngleError(f"{program} failed: {told}", hint="Run it by hand, to see more.")

    return run


_EDITORS: dict[str, Callable[..., list[Step]]] = {"neovim": _neovim, "vscode": _vscode}
