"""Hearing of what changes below a folder.

Only folders that may be read are watched, each by itself: a watch on the whole tree would follow symbolic links out
of it, and would wake up for every object that git writes and every package that npm unpacks. (Where the system
watches trees and no folders, as macOS does, the tree is watched.) It knows no rule about what may be read.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path

# The library's documented lower half: its generators build the watch only when they are first waited for.
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

__all__ = ["EVERYTHING", "Watch"]

EVERYTHING = frozenset({""})
"""Anything may have changed: the root itself is named."""

_BY_FOLDER = sys.platform == "linux"
_QUIET_MS, _LONGEST_MS = 100, 1_000
"""Changes are told together when there was none for so long, or when the first one is so old."""
_POLL_S, _POLL_SHARE = 30.0, 30
"""Looking at everything takes at most one part in so many of the time."""
_DISTRUST_S = 900.0
"""Queues overflow, and network file systems tell nothing: now and then everything is looked at all the same."""
_DELETED = 3


class Watch:
    """What changes below `root`, from the first `follow` on. Paths are strings below it, with slashes."""

    def __init__(self, root: Path, poll_s: float = _POLL_S) -> None:
        self._root = root
        self._poll_s = poll_s
        self._folders: set[str] = set()
        self._notify: RustNotify | None = None
        self._untold: set[str] = set()
        self._told = time.monotonic()
        self.trouble = ""
        """Why the system does not tell; "" while it does. Without it, everything is looked at every `poll_s`."""

    def follow(self, folders: Iterable[str]) -> bool:
        """Hear of changes in these folders, too. True when some of them were not heard of before: look at them anew.

        What happens in them from its return on is not missed.
        """
        more = set(folders) - self._folders
        if not more or (self._notify is not None and not _BY_FOLDER):
            return False
        wanted = {folder for folder in self._folders | more if os.access(self._root / folder, os.R_OK)}
        before = self._notify
        try:
            self._notify, self._folders, self.trouble = self._started(wanted), wanted, ""
        except (OSError, WatchfilesRustInternalError) as exc:  # a folder is just gone, or the system's limit is reached
            self._notify, self._folders, self.trouble = None, set(), str(exc).partition(" about [")[0]
        if before is not None:  # it was heard until the new one was there
            self._untold |= self._heard(before, 1)
            before.close()
        return self._notify is not None

    def wait(self) -> Collection[str]:
        """What has changed since the last call, once something has. EVERYTHING when that is not known."""
        now = time.monotonic()
        pause = max(self._poll_s, min(_POLL_SHARE * (now - self._told), _DISTRUST_S))
        until = now + (pause if self._notify is None else _DISTRUST_S)
        while not self._untold and (remaining := until - time.monotonic()) > 0:
            if self._notify is None:
                time.sleep(remaining)
            else:
                self._untold = self._heard(self._notify, int(remaining * 1000) + 1)
        told, self._untold = self._untold, set()
        self._told = time.monotonic()
        return told or EVERYTHING

    def _started(self, folders: Collection[str]) -> RustNotify:
        paths = [str(self._root / folder) for folder in sorted(folders)] if _BY_FOLDER else [str(self._root)]
        # Told to ignore folders that it may not read, it ignores the system's limit, too.
        return RustNotify(paths, False, False, 0, not _BY_FOLDER, False)

    def _heard(self, notify: RustNotify, timeout_ms: int) -> set[str]:
        changes = notify.watch(_LONGEST_MS, min(_QUIET_MS, timeout_ms), timeout_ms, None)
        if isinstance(changes, str):  # nothing within the time
            return set()
        told = {(kind, os.path.relpath(path, self._root)) for kind, path in changes}
        for gone in (path for kind, path in told if kind == _DELETED):
            # Its watch is gone with it: if it comes back, it is a new folder.
            self._folders -= {folder for folder in self._folders if folder == gone or folder.startswith(f"{gone}/")}
        return {"" if path == "." else path for _, path in told}
