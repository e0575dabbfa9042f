"""The real model in the test's own process, and code for it to read. A module that wants another runner defines it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import SLOTS
from ingle_daemon.engine.runner import Runner, RunnerOptions


@pytest.fixture(scope="module")
def runner(starter: Path) -> Iterator[Runner]:
    runner = Runner(RunnerOptions(str(starter), 2048, 2, -1, "auto", 256, SLOTS))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def code(runner: Runner) -> list[int]:
    """The tokens of a file of the standard library."""
    return runner.vocab.tokenize(Path(random.__file__).read_text(), special=False)
