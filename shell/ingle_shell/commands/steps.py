"""Things that will be done to the user's machine: said first, asked about on a terminal, and then done one by one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingle_daemon.errors import UsageError
from ingle_shell.screen import Screen

__all__ = ["Step", "carry_out"]


class Step(NamedTuple):
    """One thing that will be done, in words, and the doing. `undo` takes it back where a later one fails."""

    words: str
    run: Callable[[], object]
    undo: Callable[[], object] = lambda: None


def carry_out(steps: Sequence[Step], *, yes: bool) -> bool:
    """Say what will be done, ask unless `yes`, and do it. False when the user declined.

    Raises UsageError where nobody can be asked, and what a step raises once those before it are taken back.
    """
    screen = Screen()
    for step in steps:
        screen.note(f"ingle will {step.words}")
    if not yes and not _agreed(screen):
        return False
    done: list[Step] = []
    try:
        for step in steps:
            done.append(step)
            step.run()
    except BaseException:
        for step in reversed(done):
            step.undo()
        raise
    return True


def _agreed(screen: Screen) -> bool:
    if not (screen.interactive and sys.stdin.isatty()):
        raise UsageError("nobody is there to be asked", hint="Say --yes to have it done.")
    screen.note("[Y/n] ", end="")
    line = sys.stdin.readline()
    return bool(line) and line.strip().lower() in ("", "y", "yes")
