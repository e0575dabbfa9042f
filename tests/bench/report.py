"""What the benchmarks share in front and behind: options, the machine's name, medians with their spread, tables.

It knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Cell", "Row", "Spread", "cores", "options", "peer", "percentile", "show"]


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A median and how far its runs lie apart."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(round(statistics.median(values), 2), round(min(values), 2), round(max(values), 2), len(values))

    def __str__(self) -> str:
        digits = 1 if self.high >= 10 else 2
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}..{self.high:.{digits}f})"


Cell = str | int | float | bool | Spread | None
Row = Mapping[str, Cell]


def options(description: str, rounds: int, parts: Sequence[str] = ()) -> argparse.Namespace:
    """The command line of every benchmark: `as_json` and `rounds`; `part`, of one that has several."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--rounds", type=int, default=rounds, help="how often to go round (default: %(default)s)")
    if parts:
        parser.add_argument("--part", choices=parts, help="measure this alone")
    return parser.parse_args()


def peer(variable: str) -> str | None:
    """The program that this environment variable names, to be measured beside ours."""
    return os.environ.get(variable) or None


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show(title: str, rows: Sequence[Row], *, as_json: bool, remarks: Sequence[str] = ()) -> None:
    """Print `rows`, which have the same columns, under the machine they were measured on."""
    machine = f"{_cpu_model()}, {cores()} cores, {platform.system()} {platform.machine()}"
    if as_json:
        whole = {"title": title, "machine": machine, "rows": rows, "remarks": remarks}
        print(json.dumps(whole, indent=2, default=dataclasses.asdict))
        return
    print(f"{title}\n{machine}")
    table = [list(rows[0]), *([_text(cell) for cell in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        first, *others = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first, *(cell.strip().rjust(width) for cell, width in zip(others, widths[1:], strict=True))]))
    for remark in remarks:
        print(remark)


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _cpu_model() -> str:
    """What the kernel calls it; Python asks it only on some systems."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown CPU"
