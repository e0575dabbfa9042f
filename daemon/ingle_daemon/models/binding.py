"""Whether the llama-cpp-python that is installed can use the machine's GPU, and the command that installs one that can.

The project publishes wheels for some versions of CUDA, each for GPUs of some generations. Pure.
"""

from __future__ import annotations

import shlex
import sys

from ingle_daemon.models.gpu import Reading
from ingle_daemon.protocol import Device

__all__ = ["advice"]

_INDEX = "https://abetlen.github.io/llama-cpp-python/whl"
_LEAST = "llama-cpp-python>=0.3.36"
_WHEELS = (
    ("cu132", (13, 2), (7, 5)),
    ("cu130", (13, 0), (7, 5)),
    ("cu125", (12, 5), (6, 0)),
    ("cu124", (12, 4), (6, 0)),
    ("cu123", (12, 3), (6, 0)),
    ("cu122", (12, 2), (6, 0)),
    ("cu121", (12, 1), (6, 0)),
    ("cu118", (11, 8), (6, 0)),
)
"""The wheels, the newest first: the CUDA that the driver must run, and the oldest generation of GPU."""


def advice(backends: tuple[str, ...], devices: tuple[Device, ...], reading: Reading) -> str:
    """What to do so that the GPU is used, a command on a line of its own; "" where it is, or where there is none."""
    if any(device.kind in ("gpu", "igpu") for device in devices):
        return ""
    if not reading.gpus:
        return "\n".join(
            f"{problem.message}. {problem.fix}" for problem in reading.problems if problem.kind != "no-driver"
        )
    return f"{_diagnosis(backends, reading)}\n{_remedy(reading)}"


def _diagnosis(backends: tuple[str, ...], reading: Reading) -> str:
    name = reading.gpus[0].name
    if "cuda" not in backends:
        return f"the {name} is not used: this llama-cpp-python is built without CUDA."
    return (
        f"the {name} is not used: this llama-cpp-python is built for CUDA and does not find it. CUDA_VISIBLE_DEVICES"
        f" hides it, or the build is for a newer CUDA than the driver's ({reading.cuda or 'unknown'})."
    )


def _remedy(reading: Reading) -> str:
    wheel = _wheel(reading)
    if wheel is None:
        return f"No wheel is made for it and this driver (CUDA {reading.cuda or 'unknown'}): look for a newer driver."
    command = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", "--only-binary", ":all:"]
    command += ["--extra-index-url", f"{_INDEX}/{wheel}", _LEAST]
    return f"This installs one that uses it; then `ingle stop`:\n{shlex.join(command)}"


def _wheel(reading: Reading) -> str | None:
    """The newest wheel that the driver runs and that every GPU is young enough for."""
    cuda = tuple(int(part) for part in reading.cuda.split(".")) if reading.cuda else (0, 0)
    generations = [gpu.capability for gpu in reading.gpus if gpu.capability]
    for name, needs, since in _WHEELS:
        if cuda >= needs and all(generation >= since for generation in generations):
            return name
    return None
