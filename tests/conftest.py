"""Fixtures that every suite shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import nvml
import support
from ingle_daemon.backends.worker_process import worker_environment

# Tests that load a model in this process run it under the worker's threading rules. OpenMP reads them when it loads.
os.environ.update(worker_environment())

# A suite that a script runs in the background ignores Ctrl-C and Ctrl-\, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# A deadline would measure the machine's load.
hypothesis.settings.register_profile("ingle", deadline=None)
hypothesis.settings.load_profile("ingle")


@pytest.fixture
def instance() -> Iterator[support.Instance]:
    """An isolated ingle with the scripted backend; the daemon starts with its first client."""
    made = support.new_instance(INGLE_BACKEND="scripted")
    yield made
    made.close()


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model's GGUF."""
    return support.starter_model()


@pytest.fixture
def real(starter: Path) -> Iterator[support.Instance]:
    """An isolated ingle with the starter model in a real worker."""
    made = support.new_instance(INGLE_MODEL=str(starter))
    yield made
    made.close()


@pytest.fixture
def driver(tmp_path: Path) -> nvml.StandIn:
    """A stand-in for NVIDIA's driver; `env` makes a process find it."""
    if not nvml.COMPILER:
        pytest.skip("there is no C compiler to build the stand-in for libnvidia-ml.so.1 with")
    return nvml.StandIn(tmp_path)
