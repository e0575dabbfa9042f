"""Keep llama.cpp off AMX, the matrix tiles of Intel's server processors, where its code crashes as GCC compiles it.

GCC takes the tiles' configuration, which llama.cpp writes to its stack, for unused and leaves it out. The instruction
that reads it then faults in the first batch of two tokens (llama.cpp issue 20824, pull request 26954). llama.cpp has no
switch for it but one that turns its other fast kernels off as well. So the system says no for it: Linux grants a
process the tiles on request only, and to none with a signal stack that is too small for their state.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator

__all__ = ["without_tiles"]

_TOO_SMALL = 8192
"""Bytes. The tiles alone take as many, and all the rest of a processor's state goes on a signal stack besides."""


class _SignalStack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def without_tiles() -> Iterator[None]:
    """The system refuses the tiles to who asks for them meanwhile. llama.cpp asks once, with the first model."""
    if sys.platform != "linux":
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    memory = ctypes.create_string_buffer(_TOO_SMALL)
    ours, before = _SignalStack(ctypes.addressof(memory), 0, _TOO_SMALL), _SignalStack()
    sigaltstack(ctypes.byref(ours), ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
