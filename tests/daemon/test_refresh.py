"""When a lent suffix is evaluated exactly again."""

from __future__ import annotations

import pytest

from ingle_daemon.engine.refresh import PAUSE_S, Refresh, Stale


def due(drift: int, seconds: float | None) -> float | None:
    """Seconds from a keystroke to the refresh, `drift` tokens after the suffix was evaluated, in `seconds`."""
    refresh = Refresh()
    refresh.after(10.0, Stale([1, 2, 3], 2, drift), seconds)
    return refresh.due_in(10.0)


@pytest.mark.parametrize(
    ("seconds", "much"),
    [(0.01, 2), (0.25, 2), (0.5, 4), (1.0, 8), (1.5, 12), (20.0, 12), (None, 12)],
)
def test_the_cheaper_the_sooner(seconds: float | None, much: int) -> None:
    assert due(much, seconds) == pytest.approx(PAUSE_S)
    assert due(much + 1, seconds) == 0


def test_who_types_on_puts_it_off() -> None:
    refresh = Refresh()
    refresh.after(10.0, Stale([1, 2, 3], 2, 1), None)
    refresh.forget()
    assert refresh.due_in(20.0) is None
    assert refresh.take() is None
