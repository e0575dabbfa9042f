"""How long threads spin at a barrier before they sleep: long while nobody else computes, and briefly in company.

There are some hundred barriers in a token. A thread that sleeps at each is woken again at each, which costs up to three
quarters of the speed; but one that spins while its partner has lost its core to another program spins for a whole time
slice. libgomp spins as GOMP_SPINCOUNT says (`backends/worker_process.py`), and a hundred times at most while a process
has more of its threads than there are cores. So in company threads are added, which do nothing but be there.

`Company` decides, and is pure. `Crowd` is the threads. Neither knows llama.cpp.
"""

from __future__ import annotations

import ctypes
import os
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Company", "Spent", "Spin"]

Parallel = Callable[[Any, None, int, int], None]
"""libgomp's GOMP_parallel: a function, its argument, in so many threads; and flags."""

_LOST = 0.5
"""Cores' worth of time that spinning threads do without: all but a tenth of theirs is theirs, or half beside others."""
_SWITCHES = 100
"""A second. So often and more a thread that sleeps and wakes loses its core to others (measured: 3,000 to 30,000)."""
_WINDOW_S, _SETTLING_S, _CROWDED_WINDOW_S = 0.15, 0.6, 0.1
_HOLD_S, _LONGEST_HOLD_S = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What evaluating something took: seconds by the clock and of all threads together, and how often one of them had
    to give up its core."""

    wall: float
    cpu: float
    switches: int

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu, self.switches + other.switches)


_NOTHING = Spent(0.0, 0.0, 0)


class Company:
    """Whether other programs want the same cores, told from what evaluating costs.

    A share of the cores below what spinning takes says so, or that the threads wait for something else, as for a GPU.
    Who then is alone after all has raised a false alarm, and is longer and longer not believed.
    """

    def __init__(self) -> None:
        self.crowded = False
        self._seen = _NOTHING
        self._settled = self._met = False
        self._hold = self._deaf_until = 0.0

    def learn(self, spent: Spent, threads: int, now: float) -> bool:
        """Whether there is company, after this was spent by so many threads."""
        self._seen += spent
        if self._seen.wall >= self._window:
            seen, self._seen = self._seen, _NOTHING
            if self.crowded:
                self._look_for_others(seen, now)
            elif threads * seen.wall - seen.cpu > _LOST * seen.wall and now >= self._deaf_until:
                self.crowded, self._settled, self._met = True, False, False
        return self.crowded

    @property
    def _window(self) -> float:
        if not self.crowded:
            return _WINDOW_S
        return _CROWDED_WINDOW_S if self._settled else _SETTLING_S

    def _look_for_others(self, seen: Spent, now: float) -> None:
        others = seen.switches >= _SWITCHES * seen.wall
        self._met |= others
        if others or not self._settled:  # at first the threads may stay out of the others' way
            self._settled = True
            return
        self.crowded = False
        self._hold = 0.0 if self._met else min(max(2 * self._hold, _HOLD_S), _LONGEST_HOLD_S)
        self._deaf_until = now + self._hold


class Crowd:
    """More of libgomp's threads than there are cores, while they are wanted."""

    def __init__(self, parallel: Parallel) -> None:
        self._parallel = parallel
        self._nothing = ctypes.CDLL(None).free  # of no memory: does nothing
        self._left: threading.Event | None = None

    def gather(self, threads: int) -> None:
        """Add as many as are missing where so many compute."""
        if self._left is None:
            self._left = threading.Event()
            count = max(len(os.sched_getaffinity(0)) - threads, 0) + 2  # one of them is not libgomp's
            threading.Thread(target=self._stand, args=(count, self._left), name="crowd", daemon=True).start()

    def leave(self) -> None:
        """Take them away."""
        if self._left is not None:
            self._left.set()
            self._left = None

    def _stand(self, count: int, left: threading.Event) -> None:
        """Threads belong to the one that began them, and end with it."""
        self._parallel(self._nothing, None, count, 0)
        left.wait()


class Spin:
    """Spins as long as pays. `begin` and `end` go around every evaluation."""

    def __init__(self, parallel: Parallel) -> None:
        self._company = Company()
        self._crowd = Crowd(parallel)
        self._begun = _NOTHING

    def begin(self) -> None:
        """Threads begin to compute."""
        self._begun = _now()

    def end(self, threads: int) -> None:
        """So many of them did."""
        begun, ended = self._begun, _now()
        spent = Spent(ended.wall - begun.wall, ended.cpu - begun.cpu, ended.switches - begun.switches)
        if threads > 1 and self._company.learn(spent, threads, ended.wall):
            self._crowd.gather(threads)
        else:
            self._crowd.leave()

    def close(self) -> None:
        """No more of it."""
        self._crowd.leave()


def _now() -> Spent:
    """Since some moment."""
    return Spent(time.monotonic(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw)
