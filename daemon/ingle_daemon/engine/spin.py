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
    """What evaluations took: seconds of them by the clock, seconds of all threads together meanwhile and between them,
    and how often a thread had to give up its core."""

    wall: float
    cpu: float
    switches: int


class Company:
    """Whether other programs want the same cores, told from what evaluating costs.

    A share of the cores below what spinning takes says so, or that the threads wait for something else, as for a GPU.
    Who then is alone after all has raised a false alarm, and is longer and longer not believed.
    """

    def __init__(self) -> None:
        self.crowded = False
        self._settled = self._met = False
        self._hold = self._deaf_until = 0.0

    @property
    def window(self) -> float:
        """Seconds of evaluation that tell."""
        if not self.crowded:
            return _WINDOW_S
        return _CROWDED_WINDOW_S if self._settled else _SETTLING_S

    def learn(self, spent: Spent, threads: int, now: float) -> bool:
        """Whether there is company, after this was spent in a window by so many threads."""
        if self.crowded:
            self._look_for_others(spent, now)
        elif threads * spent.wall - spent.cpu > _LOST * spent.wall and now >= self._deaf_until:
            self.crowded, self._settled, self._met = True, False, False
        return self.crowded

    def _look_for_others(self, spent: Spent, now: float) -> None:
        others = spent.switches >= _SWITCHES * spent.wall
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
    """Spins as long as pays. It is told of every evaluation.

    What the process does between evaluations counts as theirs: it is little, and to read its time around every one of
    them takes as long as drawing a token.
    """

    def __init__(self, parallel: Parallel) -> None:
        self._company = Company()
        self._crowd = Crowd(parallel)
        self._wall = 0.0
        self._window = self._company.window
        self._cpu, self._switches = _used()

    def computed(self, seconds: float, threads: int) -> None:
        """So many threads did for so long."""
        self._wall += seconds
        if self._wall >= self._window:
            self._end_window(threads)

    def close(self) -> None:
        """No more of it."""
        self._crowd.leave()

    def _end_window(self, threads: int) -> None:
        cpu, switches = _used()
        spent = Spent(self._wall, cpu - self._cpu, switches - self._switches)
        self._wall, self._cpu, self._switches = 0.0, cpu, switches
        if threads > 1 and self._company.learn(spent, threads, time.monotonic()):
            self._crowd.gather(threads)
        else:
            self._crowd.leave()
        self._window = self._company.window


def _used() -> tuple[float, int]:
    """Seconds that the process has computed so far, and how often a thread of it had to give up its core."""
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
