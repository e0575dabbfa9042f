"""Files, folders and patterns as attachments. Nothing is left out silently, and nothing secret is taken by a wildcard.

Which files of a folder may be read is the daemon's to say: git's rules, `.ingleignore` and a list of secrets. Only a
file that is named itself is taken whatever it is called.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ingle_daemon.client import call
from ingle_daemon.errors import DoesNotFit, UsageError
from ingle_shell.attachments.attachment import Attachment
from ingle_shell.attachments.reading import NotText, text_of

__all__ = ["MOST_FILES", "attach", "exists"]

Note = Callable[[str], object]

MOST_FILES = 200
_RANGE = re.compile(r"(?P<path>.+):(?P<first>[1-9]\d*)(?:-(?P<last>[1-9]\d*))?")
_MAGIC = re.compile(r"[*?\[]")
_NAMED = 5


def exists(source: str) -> bool:
    """Whether `source` names a file or a folder, with or without a range of lines."""
    return _path(source).exists() or bool((ranged := _RANGE.fullmatch(source)) and _path(ranged["path"]).is_file())


def attach(source: str, limit: int, note: Note) -> list[Attachment]:
    """What `source` names: a file, `file:10-40`, a folder, a pattern; at most `limit` bytes of it."""
    path = _path(source)
    if path.is_dir():
        return _folder(source, path, limit, note)
    if path.exists():
        return [Attachment(source, text_of(source, _read(source, path, limit)), _absolute(path))]
    if (ranged := _RANGE.fullmatch(source)) and (path := _path(ranged["path"])).is_file():
        text = text_of(source, _read(source, path, limit))
        lines = _lines(source, text, int(ranged["first"]), int(ranged["last"] or ranged["first"]))
        return [Attachment(source, lines, _absolute(path))]
    if _MAGIC.search(source):
        return _pattern(source, limit, note)
    raise UsageError(f"there is no file {source}", hint="Check the name; a pattern must be quoted: -f 'src/*.py'.")


def _path(source: str) -> Path:
    return Path(source).expanduser()


def _absolute(path: Path) -> str:
    """Not made any shorter: a `..` behind a link leads out of the link's target."""
    return str(Path.cwd() / path)


def _read(name: str, path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:  # a pipe too: `-f <(command)`
            data = file.read(limit + 1)
    except OSError as exc:
        raise UsageError(f"cannot read {name}: {exc.strerror}", hint="Check its permissions.") from exc
    if len(data) > limit:
        raise DoesNotFit(f"{name} has more than {limit:,} bytes", hint="Send the part that matters: file:10-40.")
    return data


def _lines(source: str, text: str, first: int, last: int) -> str:
    lines = text.splitlines()
    if not first <= last or first > len(lines):
        raise UsageError(f"{source}: it has {len(lines)} lines", hint="Give the first and the last: file:10-40.")
    return "\n".join(lines[first - 1 : last])


def _folder(source: str, path: Path, limit: int, note: Note) -> list[Attachment]:
    listed = _readable(path)
    base = source.rstrip("/")
    return _several(source, {f"{base}/{name}": (path / name, size) for name, size in listed.items()}, limit, note)


def _pattern(source: str, limit: int, note: Note) -> list[Attachment]:
    found = [name for name in sorted(glob.iglob(os.path.expanduser(source), recursive=True)) if Path(name).is_file()]  # noqa: PTH111, PTH207 - Path.glob has no absolute patterns
    if not found:
        raise UsageError(f"no file matches {source}", hint="Quote the pattern, so that the shell leaves it as it is.")
    base = _path(_MAGIC.split(source)[0].rpartition("/")[0] or ("/" if source.startswith("/") else "."))
    readable = _readable(base)
    kept = {name: (Path(name), readable[below]) for name in found if (below := os.path.relpath(name, base)) in readable}
    if left_out := [name for name in found if name not in kept]:
        note(f"{source}: left out {_named(left_out)}: ignored by git, or secret; name one to send it")
    return _several(source, kept, limit, note)


def _readable(folder: Path) -> dict[str, int]:
    return dict(call("POST", "/ingle/files", {"folder": str(folder.resolve())})["files"])


def _several(source: str, files: dict[str, tuple[Path, int]], limit: int, note: Note) -> list[Attachment]:
    if not files:
        raise UsageError(f"{source} has no file that may be read", hint="Git ignores them, or they are secret.")
    if len(files) > MOST_FILES:
        raise UsageError(
            f"{source} has {len(files):,} files, more than {MOST_FILES}", hint="Name a folder inside it, or a pattern."
        )
    if (size := sum(size for _, size in files.values())) > limit:
        raise DoesNotFit(f"{source} has {size:,} bytes, no more than {limit:,} can be sent", hint="Name less of it.")
    texts = {name: _text_or_none(name, path, limit) for name, (path, _) in files.items()}
    if binary := [name for name, text in texts.items() if text is None]:
        note(f"{source}: left out {_named(binary)}: not text")
    return [Attachment(name, text, _absolute(files[name][0])) for name, text in texts.items() if text is not None]


def _text_or_none(name: str, path: Path, limit: int) -> str | None:
    try:
        return text_of(name, _read(name, path, limit))
    except NotText:
        return None


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
