"""What the process that keeps an index tells the daemon, on a line of JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Report", "State"]

State = Literal["scanning", "ready", "private", "failed"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How far the index is. `looks` counts how often changes, or everything, have been looked at to the end.

    private: nothing here may be read. failed: `error` says why; what was indexed before is still there.
    `polling` says why changes are looked for instead of heard of; "" where they are heard of.
    """

    state: State
    files: int = 0
    chunks: int = 0
    looks: int = 0
    polling: str = ""
    error: str = ""
