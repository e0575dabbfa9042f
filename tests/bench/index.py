"""What the workspace index costs: the first scan, a scan that finds nothing new, one change, questions, and disk.

The workspace is made of the standard library's real modules, copied until there are as many files as asked for, each
copy with names of its own.

    PYTHONPATH=tests python tests/bench/index.py [--files N] [--json] [--rounds QUESTIONS]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import report
from ingle_daemon.workspace.report import Report
from ingle_daemon.workspace.workspaces import Workspaces

_LONGEST_FILE = 40_000
_WINDOW = 1_500


def main() -> None:
    parser = argparse.ArgumentParser(description="The workspace index.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--rounds", type=int, default=300, help="how many questions (default: %(default)s)")
    parser.add_argument("--files", type=int, default=10_000, help="how many files (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "root"), Path(folder, "cache")
        size = _make(root, options.files)
        measured = asyncio.run(_measure(root, cache, sorted(root.rglob("*.py")), options.rounds))
        (database,) = cache.glob("*.sqlite")
        row = {
            "files": options.files,
            "MB of source": round(size / 1e6, 1),
            **measured,
            "MB on disk": round(database.stat().st_size / 1e6, 1),
        }
    report.show("seconds to scan, milliseconds for the rest", [row], as_json=options.as_json)


async def _measure(root: Path, cache: Path, files: list[Path], rounds: int) -> dict[str, report.Cell]:
    first, chunks = await _opened(root, cache)
    again, _ = await _opened(root, cache)
    workspaces = Workspaces(cache)
    await workspaces.open(str(root))
    await workspaces.wait(str(root), _ready)
    changes = [await _change(workspaces, root, number) for number in range(10)]
    similar, defined = await _questions(workspaces, root, files, rounds)
    await workspaces.close()
    return {
        "chunks": chunks,
        "scan s": round(first, 2),
        "again s": round(again, 2),
        "change p50": report.Spread.of(changes),
        "similar p50": round(report.percentile(similar, 50), 2),
        "similar p95": round(report.percentile(similar, 95), 2),
        "definitions p50": round(report.percentile(defined, 50), 2),
        "definitions p95": round(report.percentile(defined, 95), 2),
    }


async def _opened(root: Path, cache: Path) -> tuple[float, int]:
    """Seconds from nothing running to a complete index, and how many chunks it has."""
    workspaces = Workspaces(cache)
    begin = time.perf_counter()
    await workspaces.open(str(root))
    ready = await workspaces.wait(str(root), _ready)
    taken = time.perf_counter() - begin
    await workspaces.close()
    return taken, ready.chunks


async def _change(workspaces: Workspaces, root: Path, number: int) -> float:
    """Milliseconds from a file's being written to its definition's being found; 100 of them wait for quiet."""
    looks = workspaces.status()[0]["looks"]
    begin = time.perf_counter()
    (root / "changed.py").write_text(f"def changed_{number}():\n    pass\n")
    await workspaces.wait(str(root), _looked(looks))
    taken = time.perf_counter() - begin
    assert await workspaces.definitions(str(root), [f"changed_{number}"], limit=1)
    return taken * 1000


async def _questions(
    workspaces: Workspaces, root: Path, files: list[Path], rounds: int
) -> tuple[list[float], list[float]]:
    """Milliseconds for what is above a random cursor, in a file that is then left out."""
    chooser = random.Random(0)
    similar, defined = [], []
    for _ in range(rounds):
        path = chooser.choice(files)
        text = path.read_text(errors="replace")
        cursor = chooser.randrange(len(text))
        above, name = text[max(0, cursor - _WINDOW) : cursor], path.relative_to(root).as_posix()
        begin = time.perf_counter()
        await workspaces.similar(str(root), above, limit=5, not_in=name)
        between = time.perf_counter()
        await workspaces.definitions(str(root), re.findall(r"[^\W\d]\w+", above)[-40:], limit=10, not_in=name)
        similar.append((between - begin) * 1000)
        defined.append((time.perf_counter() - between) * 1000)
    return similar, defined


def _make(root: Path, files: int) -> int:
    """Write the workspace; how many bytes it has."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")) + sorted(
        Path(sysconfig.get_path("stdlib")).glob("[a-s]*/*.py")
    )
    sources = [
        text
        for path in modules
        if "site-packages" not in path.parts
        and 0 < path.stat().st_size < _LONGEST_FILE
        and (text := path.read_text(errors="replace"))
    ]
    total = 0
    for number in range(files):
        copy, at = divmod(number, len(sources))
        text = re.sub(r"\b(def|class) (\w+)", rf"\1 \2_{copy}", sources[at]) if copy else sources[at]
        path = root / f"package_{number // 50}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        total += path.write_text(text, errors="replace")
    return total


def _ready(said: Report) -> bool:
    return said.state == "ready"


def _looked(looks: int) -> Callable[[Report], bool]:
    return lambda said: said.state == "ready" and said.looks > looks


if __name__ == "__main__":
    main()
