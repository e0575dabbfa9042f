"""What may never leave: the user's private patterns, secret files, and workspaces that say so of themselves.

A workspace's `.ingle.toml` may come with a stranger's repository. It can forbid and nothing else: it has no word for a
provider, a key or consent, and one that holds anything unknown, or cannot be read, forbids everything.

    offline = true                    # nothing asked in this workspace leaves
    private = ["*.sql", "customers/"] # nothing asked about such a file does
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pathspec
import tomli

from ingle_daemon.workspace.ignore import Ignore, is_secret
from ingle_daemon.workspace.patterns import Pattern
from ingle_daemon.workspace.reading import read_regular

__all__ = ["FILE", "rule_files", "why_private"]

FILE = ".ingle.toml"
_LARGEST = 64 * 1024


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    offline: bool = False
    private: tuple[str, ...] = ()


class _Unreadable(Exception):
    """Says what is wrong, with the line."""


def why_private(root: str, paths: Sequence[str], private: Sequence[str], roots: Sequence[str] = ()) -> str:
    """Why what is asked in the folder `root`, about the files `paths`, may not leave; "" where it may.

    `roots` are other folders that it has to do with. `private` are the user's own patterns, as in
    .gitignore; one that begins with ~ or / is meant from there on. Of a symbolic link both count: its own name and
    place, and those of what it leads to.
    """
    folders = [place for folder in (root, *roots) if folder for place in _places(folder)]
    files = [place for path in paths for place in _places(os.path.join(root or "/", os.path.expanduser(path)))]  # noqa: PTH111, PTH118
    patterns = [os.path.expanduser(pattern) for pattern in private]  # noqa: PTH111 - no path yet
    mine = pathspec.GitIgnoreSpec.from_lines(patterns)
    for file in files:
        if is_secret(str(file)):
            return f"{file.name} is a file of secrets"
    for path in (*files, *folders):
        if _matched(mine, path):
            return f"{path} is private by [privacy] private"
    starts = {*(file.parent for file in files), *folders}
    for start in sorted(starts):
        if reason := _forbidden_by_workspace(start, files):
            return reason
    return ""


def rule_files(folder: Path) -> dict[Path, str]:
    """The rule files that hold for what is asked in `folder`, and what is wrong with each; "" where nothing is."""
    return {place / FILE: _trouble(place) for place in _workspace(folder) if os.path.lexists(place / FILE)}


def _trouble(folder: Path) -> str:
    try:
        _read(folder)
    except _Unreadable as exc:
        return str(exc)
    return ""


def _places(path: str) -> list[Path]:
    """Where it is by its name, and where it really is. A `..` behind a link leads out of the link's target."""
    named = Path(os.path.abspath(path))  # noqa: PTH100
    try:
        return list(dict.fromkeys([named, Path(os.path.realpath(path))]))
    except ValueError:  # it holds a NUL: there is no such file
        return [named]


def _matched(spec: pathspec.GitIgnoreSpec, path: Path) -> bool:
    """Whether the path, or a folder that it lies in, matches."""
    name = str(path).lstrip("/")
    return spec.match_file(name) or spec.match_file(f"{name}/")


def _forbidden_by_workspace(start: Path, files: Sequence[Path]) -> str:
    """What the rule files from `start` upwards say."""
    for folder in _workspace(start):
        try:
            rules = _read(folder)
        except _Unreadable as exc:
            return f"{exc}; while that is so, nothing leaves this workspace"
        if rules is None:
            continue
        if rules.offline:
            return f"{folder / FILE} says `offline = true`"
        spec = pathspec.GitIgnoreSpec.from_lines(rules.private, Pattern)
        for file in files:
            if file.is_relative_to(folder) and spec.match_file(str(file.relative_to(folder))):
                return f"{file} is private by {folder / FILE}"
    if start.is_dir() and Ignore(start).private:
        return f"{start} is private by its .ingleignore"
    return ""


def _workspace(start: Path) -> Iterator[Path]:
    """The folders from `start` upwards. The home folder, and what lies above it, is no workspace."""
    home = Path.home()
    for folder in (start, *start.parents):
        if folder == home or folder in home.parents:
            return
        yield folder


def _read(folder: Path) -> _Rules | None:
    """The rules of this folder; None where it has none. Raises _Unreadable when they cannot be understood."""
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise _Unreadable(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        found = read_regular(handle, FILE, _LARGEST)
    finally:
        os.close(handle)
    if found is None or found.data is None:
        raise _Unreadable(f"{path} is no regular file of at most {_LARGEST >> 10} KiB")
    return _parsed(str(path), found.data)


def _parsed(path: str, data: bytes) -> _Rules:
    try:
        text = data.decode("utf-8")
        rules = msgspec.convert(tomli.loads(text), _Rules)
        pathspec.GitIgnoreSpec.from_lines(rules.private, Pattern)
    except tomli.TOMLDecodeError as exc:
        raise _Unreadable(f"{path}:{exc.lineno}: not valid TOML: {exc.msg}") from exc
    except msgspec.ValidationError as exc:
        raise _Unreadable(f"{path}:{_line_of(text, str(exc))}: {exc}") from exc
    except (ValueError, RecursionError) as exc:  # no UTF-8, a pattern that is none, brackets without end
        raise _Unreadable(f"{path}:1: {exc}") from exc
    return rules


def _line_of(text: str, message: str) -> int:
    """The line of the key that the message names."""
    named = re.search(r"unknown field `([^`]+)`|at `\$\.(\w+)", message)
    key = re.escape(named[1] or named[2]) if named else ""
    for number, line in enumerate(text.splitlines(), 1):
        if key and re.match(rf"\s*\[*\s*[\"']?{key}\b", line):
            return number
    return 1
