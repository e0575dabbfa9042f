"""When a long step has to end before its time. The only part of the engine that other threads call. Knows no llama.cpp.

A long prompt is evaluated fastest in large slices, but a step holds up whoever comes meanwhile. So a step is long only
while nobody else is there, and whoever then comes, or leaves, interrupts it; what it evaluated is lost, and evaluated
again.

Announcing comes first, queueing after it: what is announced and has not happened keeps the next steps short, so that no
request can slip in between two looks at the queue and wait for a long one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ingle_daemon.engine.scheduler import RANK
from ingle_daemon.protocol import Priority

__all__ = ["Interrupts"]


@dataclass(frozen=True, slots=True)
class _Step:
    """The long step under way: the rank of its requests, and which they are."""

    rank: int
    ids: frozenset[int]


class Interrupts:
    """Who is about to come or go, and whether the step under way can go on. Thread-safe.

    `abort(True)` has to end the evaluation under way, and any that begins before `abort(False)`.
    """

    def __init__(self, abort: Callable[[bool], None]) -> None:
        self._abort = abort
        self._lock = threading.Lock()
        self._coming: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._step: _Step | None = None

    def coming(self, request_id: int, priority: Priority) -> None:
        """A request will be submitted in a moment."""
        with self._lock:
            self._coming[request_id] = RANK[priority]
            self._interrupt()

    def leaving(self, request_id: int) -> None:
        """A request will be cancelled in a moment."""
        with self._lock:
            self._leaving.add(request_id)
            self._interrupt()

    def arrived(self, request_id: int) -> None:
        """It is submitted. That it is about to be cancelled may have been announced all the same."""
        with self._lock:
            self._coming.pop(request_id, None)

    def left(self, request_id: int) -> None:
        """It is cancelled."""
        with self._lock:
            self._coming.pop(request_id, None)
            self._leaving.discard(request_id)

    def begin(self, priority: Priority, ids: frozenset[int]) -> bool:
        """Whether a long step of these requests may begin; if so `end` has to follow it."""
        step = _Step(RANK[priority], ids)
        with self._lock:
            if self._in_the_way(step):
                return False
            self._step = step
            return True

    def end(self) -> None:
        """The long step is over."""
        with self._lock:
            self._step = None
            self._abort(False)

    def _interrupt(self) -> None:
        if self._step and self._in_the_way(self._step):
            self._abort(True)

    def _in_the_way(self, step: _Step) -> bool:
        return any(rank <= step.rank for rank in self._coming.values()) or not self._leaving.isdisjoint(step.ids)
