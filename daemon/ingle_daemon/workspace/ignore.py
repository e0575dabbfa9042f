"""Which files of a workspace may ever be read.

Three things keep a file out: its name (a secret, a version control folder, what tools install or build), git's own
rules (`.gitignore` at every level up to the repository's top, `.git/info/exclude`), and `.ingleignore`, which has
their syntax and decides before they do. A `.ingleignore` with the line `/` or `*` keeps its whole folder private, and
so does one that cannot be read: a link, a folder, one that is too large or not ours to read.

A repository may come from anybody: symbolic links are never followed, and of an ignore file only so much is believed.
This module reads ignore files and lists folders. It knows nothing of what is done with a file.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from pathspec.patterns.gitignore import GitIgnorePatternError

from ingle_daemon.workspace.patterns import Pattern
from ingle_daemon.workspace.reading import read_regular

__all__ = ["RULE_FILES", "Ignore", "is_secret"]

_OURS = ".ingleignore"
_GITS = ".gitignore"
_SECRET_FILES = (
    *(".env*", "*.env", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", ".my.cnf", ".dockercfg"),
    *("*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "*.kdb", "*.kdbx", "*.gpg", "*.asc"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*credentials*", "secret.*", "secrets.*", "*.secret"),
    *("*.tfvars", "*.tfvars.json", "*.tfstate*", "*.ovpn", "kubeconfig*", "service-account*.json", ".vault-token"),
)
_SECRET_FOLDERS = (
    *(".env*", ".ssh", ".gnupg", ".aws", ".azure", ".gcloud", ".kube", ".docker", ".password-store", ".secrets"),
)
_NEVER = frozenset(
    {".git", ".hg", ".svn", ".jj", ".bzr", "CVS", "_darcs", "node_modules", "bower_components", "__pycache__"}
    | {".venv", "site-packages", ".tox", ".nox", ".eggs", ".gradle", ".terraform", ".direnv"}
)
_FOLDER_MARKS = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})
"""A folder that holds one of these was made by a program: a virtual environment, a cache, a build."""

RULE_FILES = _FOLDER_MARKS | {_OURS, _GITS}
"""A change to a file of such a name may change what may be read anywhere below its folder."""

_PRIVATE_LINES = frozenset({"/", "*"})
_MAX_IGNORE_BYTES = 256 * 1024
_MAX_WILDCARDS = 32
"""In one pattern. Nobody needs as many."""
_OPEN_ENDED = re.compile(r"(?:/?(?:\*\*/)+)?\*|(?:.*/)?\*\*")
"""Patterns that match at any depth: pathspec makes shorter expressions of these, which stop at the first slash."""


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)), re.IGNORECASE)


_SECRET_FILE = _any_of(_SECRET_FILES)
_SECRET_FOLDER = _any_of(_SECRET_FOLDERS)


def is_secret(path: str | PurePath) -> bool:
    """Whether a file of this name, in these folders, is likely to hold a secret. It may be nowhere read or sent."""
    *folders, name = PurePath(path).parts or ("",)
    return bool(_SECRET_FILE.match(name)) or any(map(_SECRET_FOLDER.match, folders))


class _Rule:
    """One line of an ignore file.

    pathspec lets a pattern match everything below a folder that it matches. Here every folder on the way has been
    asked before, and a later rule may have let it in: as in git, only what a pattern says of the path itself counts.
    """

    def __init__(self, line: str) -> None:
        self._pattern = Pattern(line)
        self._folders_only = line.rstrip().endswith("/")
        self._open_ended = bool(_OPEN_ENDED.fullmatch(line.rstrip().removeprefix("!").removesuffix("/")))
        self.verdict = self._pattern.include

    def matches(self, path: str) -> bool:
        found = self._pattern.match_file(path)
        if found is None:
            return False
        if self._open_ended:
            return path.endswith("/") or not self._folders_only
        return bool(found.match.end() == len(path))


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is in force in a folder, the strongest first. Each file of rules comes with the folder it speaks of."""

    ours: tuple[tuple[str, tuple[_Rule, ...]], ...] = ()
    gits: tuple[tuple[str, tuple[_Rule, ...]], ...] = ()

    def ignore(self, path: str) -> bool:
        """What the first rule that matches says. A folder's path ends with a slash."""
        for base, rules in (*self.ours, *self.gits):
            below = path[len(base) :]
            for rule in rules:
                if rule.matches(below):
                    return bool(rule.verdict)
        return False


class Ignore:
    """The rules of the workspace at `root`, as its ignore files say now. After a change to one of them, make another.

    Paths are strings below `root`, with slashes; the root itself is "".
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        top = _repository(root)
        self._prefix = f"{root.relative_to(top).as_posix()}/" if top != root else ""
        self._folders: dict[str, _Rules | None] = {"": self._outermost(top)}

    @property
    def private(self) -> bool:
        """Whether the workspace as a whole may not be read."""
        return self._folders[""] is None

    def keeps(self, path: str) -> bool:
        """Whether the file at `path` may be read, if it is a regular file."""
        folder, _, name = path.rpartition("/")
        rules = self._rules(folder)
        if rules is None or name in _NEVER or not _storable(name) or is_secret(name):
            return False
        return not rules.ignore(self._prefix + path)

    def enters(self, folder: str) -> bool:
        """Whether files below `folder` may be read."""
        return self._rules(folder) is not None

    def walk(self, folder: str = "") -> Iterator[tuple[str, list[tuple[str, os.stat_result]]]]:
        """Every folder from `folder` downwards that may be entered, with the regular files that may be read."""
        waiting = [folder] if self.enters(folder) else []
        while waiting:
            current = waiting.pop()
            prefix = f"{current}/" if current else ""
            files = []
            for entry in _listed(self.root / current):
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.extend([path] if self.enters(path) else [])
                elif entry.is_file(follow_symlinks=False) and self.keeps(path) and (status := _status(entry)):
                    files.append((path, status))
            yield current, files

    def _rules(self, folder: str) -> _Rules | None:
        """The rules inside `folder`; None where it may not be entered."""
        if folder in self._folders:
            return self._folders[folder]
        parts = PurePosixPath(folder).parts
        rules = self._folders[""]
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path not in self._folders:
                self._folders[path] = self._inside(path, parts[depth - 1], rules)
            rules = self._folders[path]
        return rules

    def _inside(self, folder: str, name: str, outside: _Rules | None) -> _Rules | None:
        if outside is None or name in _NEVER or _SECRET_FOLDER.match(name) or not _storable(name):
            return None
        if outside.ignore(f"{self._prefix}{folder}/") or (self.root / folder).is_symlink():
            return None
        if any((self.root / folder / mark).exists() for mark in _FOLDER_MARKS):
            return None
        return _extended(outside, self.root / folder, f"{self._prefix}{folder}/")

    def _outermost(self, top: Path) -> _Rules | None:
        """The rules at the root: the repository's own, those of the folders between, and the root's."""
        exclude = _parsed(_lines(_git_folder(top) / "info", "exclude"))
        rules: _Rules | None = _Rules(gits=(("", exclude),) if exclude else ())
        folder, base = top, ""
        for part in ("", *PurePosixPath(self._prefix).parts):
            folder, base = folder / part, f"{base}{part}/" if part else base
            if rules is not None:
                rules = _extended(rules, folder, base)
        return rules


def _extended(rules: _Rules, folder: Path, base: str) -> _Rules | None:
    """`rules` with those that `folder` adds; None where it is private."""
    lines = _lines(folder, _OURS)
    if not lines and os.path.lexists(folder / _OURS):
        return None
    if not _PRIVATE_LINES.isdisjoint(line.strip() for line in lines):
        return None
    ours, gits = _parsed(lines), _parsed(_lines(folder, _GITS))
    if not ours and not gits:
        return rules
    return _Rules(
        ours=((base, ours), *rules.ours) if ours else rules.ours,
        gits=((base, gits), *rules.gits) if gits else rules.gits,
    )


def _parsed(lines: list[str]) -> tuple[_Rule, ...]:
    """The rules, the last and strongest first."""
    rules = []
    for line in lines:
        if len(re.findall(r"\*+", line)) > _MAX_WILDCARDS or not line.strip("!/ \t\r"):
            continue  # the second is nothing to git, and everything to pathspec
        try:
            rule = _Rule(line)
        except GitIgnorePatternError:  # git, too, goes on with the next line
            continue
        if rule.verdict is not None:
            rules.append(rule)
    return tuple(reversed(rules))


def _lines(folder: Path, name: str) -> list[str]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # the folder is gone, or not ours to read
        return []
    try:
        found = read_regular(handle, name, _MAX_IGNORE_BYTES)
    finally:
        os.close(handle)
    return found.data.decode("utf-8-sig", "replace").split("\n") if found and found.data is not None else []


def _repository(root: Path) -> Path:
    """The top of the repository that holds `root`; `root` itself outside of one.

    A repository at home is somebody's dotfiles, whose rules mostly ignore everything else that lies there.
    """
    home = Path.home()
    for folder in (root, *root.parents):
        if folder == home and root != home:
            break
        if (folder / ".git").exists():
            return folder
    return root


def _git_folder(top: Path) -> Path:
    """Where git keeps the repository at `top`. A worktree's `.git` is a file that names a folder, which names it."""
    git = top / ".git"
    if git.is_dir():
        return git
    (first, *_) = [*_lines(top, ".git"), ""]
    worktree = top / first.removeprefix("gitdir:").strip()
    (common, *_) = [*_lines(worktree, "commondir"), ""]
    return worktree / common.strip()


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # removed meanwhile, or not ours to read
        return []


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:  # removed meanwhile
        return None


def _storable(name: str) -> bool:
    """Names that are not UTF-8 cannot be told to anybody."""
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)
