"""When a failed request is worth another try, and when a provider is better left alone for a while.

Only a request that nothing was answered to is tried again, and only where the provider cannot have charged it: it was
not reached, or it refused. One that was cut off may have cost money already.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable

from ingle_daemon.errors import ApiFailed, ApiRefused, ApiUnreachable

__all__ = ["ATTEMPTS", "Breaker", "pause_before_retry"]

ATTEMPTS = 3
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 20.0
"""Somebody waits: a provider that wants more time than this is given up, with its own word for how long."""
_WORTH_ANOTHER = frozenset({408, 429, 500, 502, 503, 504, 529})
_FAILURES_TO_OPEN = 3
_OPEN_S = 30.0


def pause_before_retry(error: ApiFailed, attempt: int, now: float, jitter: float) -> float | None:
    """Seconds to wait before the try after the `attempt`th (from 1); None when there should be none.

    `jitter` from 0 to 1 spreads those that failed together.
    """
    if attempt >= ATTEMPTS or error.details.get("offline"):
        return None
    if isinstance(error, ApiRefused):
        if error.details.get("status") not in _WORTH_ANOTHER:
            return None
    elif not isinstance(error, ApiUnreachable):
        return None
    backoff: float = _FIRST_PAUSE_S * 2 ** (attempt - 1) * (1 + jitter)
    asked = _retry_after(str(error.details.get("retry_after", "")), now)
    if asked is None:
        return backoff
    return max(asked, 0.0) if asked <= _LONGEST_PAUSE_S else None


def _retry_after(value: str, now: float) -> float | None:
    """The header: seconds, or a date."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError):
        return None


class Breaker:
    """Opens after failures in a row: for a while nothing is sent, then one request is let through to see."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def wait(self) -> float:
        """Seconds until a request is let through; 0 is now."""
        return max(0.0, self._open_until - self._clock())

    def succeeded(self) -> None:
        self._failures, self._open_until = 0, 0.0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES_TO_OPEN:
            self._open_until = self._clock() + _OPEN_S
