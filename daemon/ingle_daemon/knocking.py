"""How many may knock at the TCP door, and for how long: any user of the machine can, and none of them has a token yet.

Every connection takes a file descriptor that the Unix socket needs too. It knows connections, not what is asked.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["MOST", "Knocking"]

MOST = 128
"""Connections at once; those beyond are closed."""
_PATIENCE_S = 10.0
"""Seconds for the head of the first request."""


class Knocking(H11Protocol):
    """uvicorn's protocol for a door that strangers can reach."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MOST:
            transport.abort()
            return
        super().connection_made(transport)
        self.loop.call_later(_PATIENCE_S, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.connections:
            super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        if self in self.connections and not self.cycle:
            self.transport.close()
