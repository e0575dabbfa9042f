"""The process that keeps one workspace's index: it looks at everything once, then at what changes.

It is a process of its own, the least urgent one there is, because Python's lock and a grammar's crash are both shared
with everything else in a process: the daemon would wait for a parser that waits for the processor, or die with it.
It ends with its parent, and may be killed at any moment. It says on standard output, a JSON line at a time, how far
it is; it is asked nothing.

    python -m ingle_daemon.workspace.indexer DATABASE ROOT [careful]
"""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

import msgspec

from ingle_daemon.paths import private_dir
from ingle_daemon.storage import is_damaged
from ingle_daemon.workspace.database import lock_file
from ingle_daemon.workspace.ignore import RULE_FILES, Ignore
from ingle_daemon.workspace.index import Index, Version
from ingle_daemon.workspace.report import Report, State
from ingle_daemon.workspace.watch import EVERYTHING, Watch

__all__ = ["Indexer"]

_STDIN = 0
_NICE = 19
_REPORT_S = 0.5


class Indexer:
    """Brings `index` up to what `root` holds. When `careful`, a file that ends this process does so only once."""

    def __init__(
        self, root: Path, index: Index, watch: Watch, say: Callable[[Report], None], *, careful: bool = False
    ) -> None:
        self._root = root
        self._index = index
        self._watch = watch
        self._say = say
        self._careful = careful
        self._ignore = Ignore(root)
        self._looks = 0
        self._said = 0.0

    def run(self) -> None:
        """Look at everything, then at what changes, until the root is gone."""
        changed: Collection[str] = EVERYTHING
        while self._root.is_dir():
            changed = self._turn(changed)
        self._tell("failed", error=f"{self._root} is gone")

    def _turn(self, changed: Collection[str]) -> Collection[str]:
        """Look at what changed, and wait for what changes next."""
        try:
            self._look(changed)
        except sqlite3.DatabaseError as exc:
            if is_damaged(exc):
                self._index.rebuild()
                return EVERYTHING
            self._tell("failed", error=f"cannot write the index: {exc}")  # a full disk, mostly
            self._watch.wait()
            return EVERYTHING
        return self._watch.wait()

    def _look(self, changed: Collection[str]) -> None:
        """Bring the index up to date with what is at and below the paths that changed."""
        if "" in changed or any(PurePosixPath(path).name in RULE_FILES for path in changed):
            changed = EVERYTHING
            self._ignore = Ignore(self._root)
            self._tell("scanning")
        known: dict[str, Version] = {}
        present: dict[str, Version] = {}
        for path in changed:
            known |= self._index.known(path)
            present |= self._present(path)
        self._index.remove(known.keys() - present.keys())
        for _ in self._index.update(_differing(known, present), careful=self._careful):
            if time.monotonic() - self._said >= _REPORT_S:
                self._tell("scanning")
        self._looks += 1
        if self._ignore.private:
            self._index.rebuild()  # nothing of it may stay
        self._tell("private" if self._ignore.private else "ready")

    def _present(self, path: str) -> dict[str, Version]:
        """The files at and below `path`, and from now on what changes in its folders."""
        try:
            status = (self._root / path).lstat()
        except OSError:
            return {}
        if not stat.S_ISDIR(status.st_mode):
            return {path: _version(status)} if stat.S_ISREG(status.st_mode) and self._ignore.keeps(path) else {}
        while True:
            found = dict(self._ignore.walk(path))
            # In a folder that was not followed yet, something may have come after the walk.
            if not self._watch.follow([*found, *EVERYTHING]):
                return {file: _version(status) for files in found.values() for file, status in files}

    def _tell(self, state: State, error: str = "") -> None:
        self._said = time.monotonic()
        files, chunks = self._index.count
        self._say(
            Report(state=state, files=files, chunks=chunks, looks=self._looks, polling=self._watch.trouble, error=error)
        )


def main() -> None:
    database, root, *careful = sys.argv[1:]
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon's to answer: it closes our standard input
    threading.Thread(target=_end_with_parent, daemon=True).start()
    private_dir(Path(database).parent)
    lock = os.open(lock_file(Path(database)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held as long as this process lives; the last daemon's indexer may still end
    os.utime(lock)  # when the index was opened last
    index = Index(Path(database), Path(root))
    Indexer(Path(root), index, Watch(Path(root)), _say, careful=bool(careful)).run()


def _differing(known: dict[str, Version], present: dict[str, Version]) -> list[str]:
    return [path for path, version in present.items() if known.get(path) != version]


def _version(status: os.stat_result) -> Version:
    return status.st_mtime_ns, status.st_size


def _say(report: Report) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """A parent that is killed cannot kill us: its end of our standard input closes then."""
    os.read(_STDIN, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
