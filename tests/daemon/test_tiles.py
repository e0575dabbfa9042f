"""AMX stays away from llama.cpp, which crashes with it. The system is asked, on a processor that has the tiles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CPU = Path("/proc/cpuinfo")
PROBE = """
import ctypes
from ingle_daemon.engine.tiles import without_tiles

libc = ctypes.CDLL(None)
SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, TILES = 158, 0x1023, 18

def refused():
    return libc.syscall(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, TILES) != 0

with without_tiles():
    inside = refused()
print(inside, refused())
"""


@pytest.mark.skipif(
    not CPU.exists() or "amx_tile" not in CPU.read_text(encoding="utf-8"), reason="this processor has no AMX"
)
def test_tiles_are_refused_within_it_and_granted_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
