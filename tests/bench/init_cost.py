"""What the text of `ingle init` adds to the start of each real shell.

python tests/bench/init_cost.py [--json]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ingle_shell
from bench.report import Row, show

RUNS = 20
TEXTS = Path(ingle_shell.__file__).with_name("init")
START = {
    "bash": ["bash", "--noprofile", "--norc", "-ic"],
    "zsh": ["zsh", "-dfic"],
    "fish": ["fish", "--no-config", "-ic"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time what the shell integration adds to a shell's start.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    rows = [row(shell, extra) for shell in START if shutil.which(shell) for extra in ("", "-suggest")]
    show(f"milliseconds that the integration adds, {RUNS} runs", rows, as_json=options.as_json)


def row(shell: str, extra: str) -> Row:
    """The shell with and without the text, in turn, so that a busy moment meets both."""
    text = f"source {TEXTS / shell}"
    if extra:
        text = f"source {TEXTS / (shell + extra)}; {text}"
    without, with_it = [], []
    for _ in range(RUNS):
        without.append(_run(shell, ":" if shell != "fish" else "true"))
        with_it.append(_run(shell, text))
    spans = sorted(b - a for a, b in zip(without, with_it, strict=True))
    name = f"{shell} --suggest" if extra else shell
    return {"shell": name, "median": round(statistics.median(spans), 1), "p90": round(spans[int(RUNS * 0.9) - 1], 1)}


def _run(shell: str, script: str) -> float:
    begin = time.perf_counter()
    subprocess.run([*START[shell], script], capture_output=True, check=True, start_new_session=True)
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    main()
