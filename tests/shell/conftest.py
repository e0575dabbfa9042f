"""Fixtures of the shell tests: a daemon that plays a part, and a terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Protocol

import pexpect
import pytest

from shell.fake_daemon import FakeDaemon, fake_daemon
from support import Instance


class Spawn(Protocol):
    """Starts a command line of the shell on a terminal of its own."""

    def __call__(self, line: str, *, columns: int = 80, **variables: str) -> pexpect.spawn[str]: ...


@pytest.fixture
def daemon(instance: Instance) -> Iterator[FakeDaemon]:
    """In place of the daemon of `instance`."""
    with fake_daemon(instance.socket_file) as daemon:
        yield daemon


def _hear_interrupts() -> None:
    """As a terminal's programs do; a test run that was started in the background ignores SIGINT and hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def spawn(instance: Instance) -> Iterator[Spawn]:
    started: list[pexpect.spawn[str]] = []

    def spawn(line: str, *, columns: int = 80, **variables: str) -> pexpect.spawn[str]:
        child = pexpect.spawn(
            "/bin/sh",
            ["-c", line],
            env={**instance.env, **variables},
            cwd=str(instance.root),
            encoding="utf-8",
            timeout=30,
            dimensions=(24, columns),
            preexec_fn=_hear_interrupts,
        )
        started.append(child)
        return child

    yield spawn
    for child in started:
        child.close(force=True)
