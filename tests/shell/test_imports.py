"""What a front end loads: nothing of the engine, and hardly anything until a question is on the wire."""

from __future__ import annotations

import subprocess
import sys

import pytest

_OURS = {"ingle_daemon", "ingle_shell", *(f"ingle_daemon.{name}" for name in ("client", "errors", "launch", "paths"))}
_OURS |= {f"ingle_shell.{name}" for name in ("ask", "keeping", "options")}
_DEAR = {
    "argparse", "asyncio", "dataclasses", "email", "hashlib", "http", "importlib.metadata", "inspect", "logging",
    "random", "shutil", "ssl", "subprocess", "tempfile", "threading", "typing", "unittest", "uuid", "zipfile",
}  # fmt: skip

# Stands in for the connection: prints what is loaded when the request would leave.
_AT_THE_REQUEST = """
import sys
from ingle_daemon import client
def sent(sock, data): raise SystemExit(" ".join(sys.modules))
WIRE = {"send": sent, "close": lambda sock: None, "settimeout": lambda *_: None}
def connect(autostart): return type("Wire", (), WIRE)()
client.connect = connect
sys.argv = ["ask", "what", "is", "this?"]
from ingle_shell import ask
ask.main()
"""


def modules_after(code: str) -> set[str]:
    """The modules that an interpreter has loaded when `code` ends it with their names."""
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    assert done.returncode == 1, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("module", ["ingle_shell.ask", "ingle_shell.control", "ingle_lsp.server"])
def test_a_front_end_loads_no_part_of_the_engine(module: str) -> None:
    loaded = modules_after(f"import sys, {module}; sys.exit(' '.join(sys.modules))")
    assert module in loaded
    assert not loaded & {
        "llama_cpp",
        "pynvml",
        "starlette",
        "uvicorn",
        "httpx2",
        "numpy",
        "ingle_daemon.config",
    }


def test_a_question_is_sent_with_nothing_but_a_little_of_the_standard_library() -> None:
    bare = modules_after("import sys; sys.exit(' '.join(sys.modules))")
    loaded = modules_after(_AT_THE_REQUEST) - bare
    assert {name for name in loaded if name.startswith("ingle_")} == _OURS
    assert {name.partition(".")[0] for name in loaded - _OURS} <= sys.stdlib_module_names
    assert not loaded & _DEAR
