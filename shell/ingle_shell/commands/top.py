"""`ingle top`: the daemon at work, looked at once a second."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ingle_daemon.client import call
from ingle_daemon.errors import DaemonUnreachable
from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands
    from ingle_shell.top import Sample

__all__ = ["add"]

_EVERY_S = 1.0
_BETWEEN_TWO_S = 0.5
_PATIENCE_S = 10.0
_REMEMBERED = 12
_LEAVING = frozenset("qQ\x03\x04\x1b")


def add(commands: Commands) -> None:
    """Declare it."""
    what = "watch the daemon at work: GPU, memory, requests, tokens a second, cache, cost"
    top = _add(commands, "top", what, Command(_top, str), as_json=True)
    top.add_argument("--once", action="store_true", help="print it once; so it is done where there is no terminal")
    top.epilog = "q or Ctrl-C leaves it"


def _top(options: argparse.Namespace) -> Any:
    if options.as_json:
        return _looked_twice()
    if options.once or not _is_terminal():
        return _printed()
    _watch()
    return ""


def _is_terminal() -> bool:
    streams = (sys.stdin, sys.stdout)
    usable = os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return usable and all(stream is not None and stream.isatty() for stream in streams)


def _look() -> dict[str, Any]:
    answer: dict[str, Any] = call("GET", "/ingle/activity", autostart=False, patience=_PATIENCE_S)
    return answer


def _looked_twice() -> dict[str, Any]:
    """Counts, and what they did for half a second."""
    from ingle_shell.top import Sample, rates

    before = _look()
    time.sleep(_BETWEEN_TWO_S)
    now = _look()
    rate = rates(msgspec.convert(before, Sample), msgspec.convert(now, Sample))
    return {**now, "rates": msgspec.structs.asdict(rate)}


def _printed() -> str:
    from rich.console import Console

    from ingle_shell.top import Rates, Sample, screen

    seen = _looked_twice()
    console = Console(color_system=None)
    with console.capture() as captured:
        console.print(screen(msgspec.convert(seen, Sample), Rates(**seen["rates"])))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _watch() -> None:
    """On a screen of its own, until a key leaves it."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with (
        contextlib.suppress(KeyboardInterrupt),  # a way to leave, like q
        _keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        view = _View()
        while True:
            live.update(view.look(), refresh=True)
            if pressed(_EVERY_S):
                return


class _View:
    """What is shown now, and what was seen before."""

    def __init__(self) -> None:
        self._before: Sample | None = None
        self._history: deque[float] = deque(maxlen=_REMEMBERED)

    def look(self) -> Any:
        from ingle_shell.top import Sample, rates, screen

        try:
            now = msgspec.convert(_look(), Sample)
        except DaemonUnreachable as error:
            self._before = None
            return f"{error.message}; looking again …\nq leaves"
        rate = rates(self._before, now)
        self._before = now
        self._history.append(rate.decode or 0.0)
        return screen(now, rate, tuple(self._history))


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Keys without Enter. What it gives waits so many seconds, or until the window is another size, and says whether a
    key was pressed that leaves."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    resized, wakes = os.pipe()
    os.set_blocking(wakes, False)
    old_fd = signal.set_wakeup_fd(wakes)
    old_handler = signal.signal(signal.SIGWINCH, lambda *_: None)
    try:
        tty.setcbreak(terminal)
        yield lambda seconds: _leaves(terminal, resized, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, old_handler)
        signal.set_wakeup_fd(old_fd)
        for descriptor in (resized, wakes):
            os.close(descriptor)


def _leaves(terminal: int, resized: int, seconds: float) -> bool:
    ready, _, _ = select.select([terminal, resized], [], [], seconds)
    if resized in ready:
        os.read(resized, 64)
    if terminal not in ready:
        return False
    keys = os.read(terminal, 64).decode(errors="replace")
    return not keys or bool(_LEAVING & set(keys))
