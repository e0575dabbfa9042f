"""Where the user said, once for each provider, that questions may go. A small file in the state directory.

Nothing but the user's own word changes it: no configuration of a workspace, no answer of a provider.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ingle_daemon.errors import UsageError, reason

__all__ = ["Consent"]


class Consent:
    """The hosts in `path` and when each was allowed. One that cannot be read allows nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def given(self) -> dict[str, float]:
        """Host → when, in seconds since the epoch."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, float])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as exc:
            raise UsageError(
                f"cannot read {self._path}: {reason(exc)}", hint="Remove it: you will be asked again for each provider."
            ) from exc

    def to(self, host: str) -> bool:
        return host in self.given()

    def grant(self, host: str) -> None:
        self._write({**self.given(), host: time.time()})

    def revoke(self, host: str) -> None:
        """Raises UsageError when there is none."""
        given = self.given()
        if host not in given:
            raise UsageError(f"there is no consent for {host!r}", hint="`ingle consent list` shows those there are.")
        del given[host]
        self._write(given)

    def _write(self, given: dict[str, float]) -> None:
        partial = self._path.with_suffix(".new")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(given))
        partial.replace(self._path)
