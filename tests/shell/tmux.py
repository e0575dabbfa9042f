"""A command on the screen of a real tmux: what a person sees of it, and what has scrolled away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support import Instance

__all__ = ["Tmux", "tmux"]


class Tmux:
    """One tmux with one window, in which a shell command runs and then waits."""

    def __init__(self, instance: Instance, command: str, columns: int, lines: int) -> None:
        self._instance = instance
        size = ("-x", str(columns), "-y", str(lines))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, f"{command}; cat >/dev/null")

    def keys(self, *keys: str) -> None:
        """Press keys: tmux's names for them, or text."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def text(self) -> list[str]:
        """Every line, those that have scrolled away first, without the empty ones at the end."""
        text = self._tmux("capture-pane", "-p", "-S", "-")
        return [line.rstrip() for line in text.rstrip().splitlines()]

    def colored(self) -> str:
        """What is on the screen now, with the escape sequences of its colours."""
        return self._tmux("capture-pane", "-p", "-e")

    def wait(self, seen: Callable[[list[str]], bool], seconds: float = 60) -> list[str]:
        """Until the text is as `seen` says. A screen tells nobody when it changes, so it is looked at."""
        deadline = time.monotonic() + seconds
        while not seen(lines := self.text()):
            assert time.monotonic() < deadline, "\n".join(["not seen; the screen was:", *lines])
            time.sleep(0.02)
        return lines

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = self._instance.run("tmux", "-S", str(self._instance.root / "tmux"), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def tmux(instance: Instance, command: str, *, columns: int = 80, lines: int = 24) -> Iterator[Tmux]:
    """A Tmux that runs `command`. Skips the test where there is no tmux."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    screen = Tmux(instance, command, columns, lines)
    try:
        yield screen
    finally:
        screen.close()
