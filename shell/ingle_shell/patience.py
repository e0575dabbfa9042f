"""Says what is waited for, once that takes longer than a second. It knows the time, not what is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Patience"]

_AFTER_S = 1.0


class Patience:
    """`say` may be called by another thread, but never after `over` has returned."""

    def __init__(self, say: Callable[[str], None], after: float = _AFTER_S) -> None:
        self._say = say
        self._after = after
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def expect(self, what: str) -> None:
        """This is waited for from now on, and nothing else."""
        self.over()
        self._timer = threading.Timer(self._after, self._tell, (what,))
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        """Nothing is waited for."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._timer = None

    def _tell(self, what: str) -> None:
        with self._lock:
            if self._timer is threading.current_thread():
                self._say(what)
