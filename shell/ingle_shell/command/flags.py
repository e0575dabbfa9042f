"""Which options a program documents: in its man page, in a shell's completion definitions, or in what `--help` prints.

Files are read, nothing is run but `--help` of a fixed list of programs, from the system's own folders, without input,
network or much time. Where nothing documents a program, that is the answer.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import lzma
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ingle_shell.command.lists import names
from ingle_shell.command.risk import SYSTEM_FOLDERS

__all__ = ["Documented", "documented", "is_documented"]

_LARGEST = 4 << 20  # bytes of a page, unpacked
_PATIENCE = 2.0  # seconds for --help
_SAFE_HELP = names(
    """
    basename cat chmod chown comm cp cut date dd df diff dirname du echo env expand file find fmt fold free
    grep gzip head id jq join ln ls lsblk md5sum mkdir mktemp mv nl nproc od paste pgrep pr printf ps readlink
    realpath rm rmdir sed seq sha256sum shuf sort split stat tac tail tar tee touch tr truncate uname uniq wc
    xargs xz
    """
)
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_FONTS = re.compile(r"\\f(?:\[\w*\]|\(\w\w|\w)|\\&|\\[|/^]")
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z0-9][\w-]*")


class Documented(msgspec.Struct, frozen=True):
    """The options of a program, and what documents them: "man page", "completions", "--help"."""

    options: frozenset[str]
    source: str


@functools.cache
def documented(program: str, path: str, subcommand: str = "") -> Documented | None:
    """What is documented of `program`, found at `path`; None where nothing is."""
    pages_of = [f"{program}-{subcommand}", program] if subcommand else [program]
    pages = [page for name in pages_of for page in _man_pages(name, path)]
    completions = _completions(program)
    if pages:
        return Documented(frozenset().union(*map(options_in_page, pages), completions), "man page")
    if completions:
        return Documented(completions, "completions")
    printed = _help(program, path)
    return Documented(options_in_page(printed), "--help") if printed else None


def is_documented(option: str, options: frozenset[str]) -> bool:
    """Whether an option as it is written is among `options`: with a value, shortened, or several in one word."""
    name = option.partition("=")[0]
    if name in options:
        return True
    if name.startswith("--"):
        return len(name) > 3 and any(known.startswith(name) for known in options)
    letters = re.match(r"[A-Za-z]*", name[1:])
    return bool(letters and letters[0]) and all(f"-{letter}" in options for letter in (letters[0] if letters else ""))


def options_in_page(page: str) -> frozenset[str]:
    """The options that a man page (man or mdoc macros) or a help text names."""
    text = _FONTS.sub("", page.replace("\\-", "-").replace("\\(hy", "-"))
    found = set(_OPTION.findall(text))
    found |= {f"--{name}" for name in re.findall(r"--\[no-\]([\w-]+)", text)}
    found |= {f"--no-{name}" for name in re.findall(r"--\[no-\]([\w-]+)", text)}
    found |= {f"-{name}" for name in re.findall(r"\bFl ([\w-]+)", text)}
    return frozenset(found)


# --- man pages ------------------------------------------------------------------------------------------------------


def _man_pages(name: str, path: str) -> Iterator[str]:
    for folder in _man_folders(path):
        for section in ("1", "8"):
            for file in _matching(folder / f"man{section}", name, f".{section}"):
                with contextlib.suppress(OSError, EOFError, lzma.LZMAError, zlib.error):
                    text = _text(file)
                    if link := re.match(r"\.so (\S+)", text):
                        text = _text(next(iter(_matching(folder, link[1])), file))
                    yield text
                    return


def _man_folders(path: str) -> list[Path]:
    near = Path(path).parent.parent / "share/man"
    named = [Path(part) for part in os.environ.get("MANPATH", "").split(":") if part]
    return [*named, near, Path("/usr/local/share/man"), Path("/usr/share/man")]


def _matching(folder: Path, name: str, suffix: str = "") -> list[Path]:
    """The files in `folder` whose names begin so. A page may name any path: one from the top is none in there."""
    return [] if name.startswith("/") else sorted(folder.glob(f"{_escaped(name)}{suffix}*"))


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _text(file: Path) -> str:
    opener = _OPENERS.get(file.suffix, open)
    with opener(file, "rb") as handle:
        return bytes(handle.read(_LARGEST)).decode("utf-8", "replace")


# --- completion definitions -----------------------------------------------------------------------------------------


def _completions(program: str) -> frozenset[str]:
    found: set[str] = set()
    for folder in ("/usr/share/fish", "/usr/local/share/fish", "/opt/homebrew/share/fish"):
        for kind in ("completions", "vendor_completions.d"):
            with contextlib.suppress(OSError):
                found |= _in_fish(program, _text(Path(folder, kind, f"{program}.fish")))
    for folder in ("/usr/share/zsh/functions/Completion", "/usr/share/zsh/vendor-completions"):
        for file in Path(folder).glob(f"**/_{_escaped(program)}"):
            with contextlib.suppress(OSError):
                found |= set(_OPTION.findall(_text(file)))
    return frozenset(found)


def _in_fish(program: str, text: str) -> set[str]:
    found: set[str] = set()
    for line in text.splitlines():
        if re.match(rf"\s*complete\b.*(?:-c|--command|complete)[ =]{re.escape(program)}\b", line):
            bare = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", line)
            found |= {
                f"-{name}" for name in re.findall(r"\s(?:-s|--short(?:-option)?|-o|--old-option)[ =]?(\S+)", bare)
            }
            found |= {f"--{name}" for name in re.findall(r"\s(?:-l|--long(?:-option)?)[ =]?(\S+)", bare)}
    return found


# --- --help ---------------------------------------------------------------------------------------------------------


def _help(program: str, path: str) -> str:
    """What `program --help` prints, in a network namespace without a network; "" where it is not to be had so."""
    isolate = shutil.which("unshare")
    if program not in _SAFE_HELP or not isolate or str(Path(path).parent) not in SYSTEM_FOLDERS:
        return ""
    try:
        done = subprocess.run(
            [isolate, "--map-root-user", "--net", path, "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
