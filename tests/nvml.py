"""A stand-in for NVIDIA's driver library, built from C, so that the real binding runs where there is no GPU."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["COMPILER", "GIB", "StandIn"]

COMPILER = shutil.which("cc") or shutil.which("gcc")
GIB = 1 << 30
NOT_SUPPORTED = -1


class StandIn:
    """A driver that says what a test wrote; what is written later is what the next reading finds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "nvml.txt"
        self.env = {"LD_LIBRARY_PATH": str(_library()), "NVML_STAND_IN": str(self._file)}

    def says(self, *lines: str, init: int = 0) -> None:
        """Answer so from now on: lines as nvml_stand_in.c reads them."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text("\n".join((f"init {init}", "driver 550.120", "cuda 12040", *lines)))
        fresh.replace(self._file)  # a daemon may be reading


def gpu(
    name: str = "NVIDIA GeForce RTX 3050",
    *,
    error: int = 0,
    total: int = 4 * GIB,
    free: int = 3 * GIB,
    percent: int = 0,
    degrees: int = 40,
    milliwatts: int = 9500,
    mig: int = 0,
) -> str:
    """A line that describes a GPU."""
    return f"gpu {error} {total} {free} {percent} {degrees} {milliwatts} {mig} {name}"


@functools.cache
def _library() -> Path:
    """The folder with the library, built once a run."""
    assert COMPILER, "there is a compiler: the fixture has looked"
    folder = Path(tempfile.mkdtemp(prefix="ingle-nvml-"))
    source = Path(__file__).with_name("nvml_stand_in.c")
    target = folder / "libnvidia-ml.so.1"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(target), str(source)], check=True
    )
    return folder
