"""`python -m ingle_daemon.engine.about`: which llama.cpp this is, what it was built for, what it can compute on. JSON.

In a process of its own: whoever wants to know does not load it.
"""

from __future__ import annotations

import sys

import msgspec

from ingle_daemon.engine.runner import build_flags, hello

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode({"hello": hello(), "flags": build_flags()}).decode())
