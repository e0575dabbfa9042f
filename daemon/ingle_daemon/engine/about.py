"""`python -m ingle_daemon.engine.about`: which llama.cpp this is and what it was built for, as JSON on stdout.

In a process of its own: whoever wants to know does not load it.
"""

from __future__ import annotations

import json
import sys

from ingle_daemon.engine.runner import build_facts

__all__: list[str] = []

if __name__ == "__main__":
    sys.stdout.write(json.dumps(build_facts()))
