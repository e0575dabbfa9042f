"""What was measured of a model, the figures of it, and a table of several. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from ingle_shell.render import plain, size

__all__ = ["Result", "Run", "Score", "figures", "matches", "table"]

_NOT_HERE = "not run here"
"""What only another machine can show."""


class Run(msgspec.Struct, frozen=True):
    """One question: from sending it to the first token, and what the engine says of its time."""

    first_token_ms: float
    prompt_tokens: int
    prompt_ms: float
    generated: int
    generated_ms: float


class Score(msgspec.Struct, frozen=True):
    """How many of so many were answered exactly."""

    right: int
    of: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `filled` is None where it does not fill in the middle, `vram_bytes` where it is not on a GPU,
    `load_s` where somebody else kept a model in memory.

    `error` says why there is nothing more.
    """

    model: str
    load_s: float | None = None
    context: int = 0
    fim: str = ""
    runs: tuple[Run, ...] = ()
    worker_bytes: int | None = None
    vram_bytes: int | None = None
    answered: Score | None = None
    filled: Score | None = None
    error: str = ""


def figures(result: Result) -> dict[str, tuple[float, float, float]]:
    """Median, smallest and largest of each measure that has several runs."""
    return {name: _spread([of(run) for run in result.runs]) for name, of in _MEASURES.items() if result.runs}


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return (round(statistics.median(values), 1), round(min(values), 1), round(max(values), 1))


def _rate(count: int, ms: float) -> float:
    return 1000 * count / ms if ms else 0.0


_MEASURES: dict[str, Callable[[Run], float]] = {
    "first_token_ms": lambda run: run.first_token_ms,
    "prefill": lambda run: _rate(run.prompt_tokens, run.prompt_ms),
    "decode": lambda run: _rate(run.generated, run.generated_ms),
}


def matches(said: str, wanted: str) -> bool:
    """Whether an answer is the wanted one, but for its case and what stands around a word."""
    words = said.strip().strip("`*\"'.!,:;()").lower()
    return words == wanted.lower()


def table(results: Sequence[Result], columns: int) -> str:
    """A column a model, a row a measure."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    for result in results:
        shown.add_column(plain(result.model), overflow="fold")
    for name, cell in _ROWS:
        shown.add_row(name, *(_cell(result, cell) for result in results))
    console = Console(width=columns, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "\n".join([*filter(None, lines), *_errors(results)])


def _errors(results: Sequence[Result]) -> list[str]:
    return [f"{plain(result.model)}: {plain(result.error)}" for result in results if result.error]


def _cell(result: Result, cell: Callable[[Result], str]) -> str:
    return "-" if result.error else cell(result)


def _of(measure: str, unit: str) -> Callable[[Result], str]:
    def told(result: Result) -> str:
        median, least, most = figures(result)[measure]
        return f"{median:g} {unit} ({least:g} to {most:g})"

    return told


def _score(score: Score | None) -> str:
    return f"{score.right} of {score.of}" if score else "does not"


_ROWS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("load", lambda result: "not measured" if result.load_s is None else f"{result.load_s:.1f} s"),
    ("prompt", lambda result: f"{result.runs[-1].prompt_tokens} tokens"),
    ("first token", _of("first_token_ms", "ms")),
    ("prefill", _of("prefill", "tokens/s")),
    ("decode", _of("decode", "tokens/s")),
    ("memory", lambda result: size(result.worker_bytes) if result.worker_bytes else "-"),
    ("VRAM", lambda result: size(result.vram_bytes) if result.vram_bytes else _NOT_HERE),
    ("context", lambda result: f"{result.context} tokens"),
    ("answers (small set)", lambda result: _score(result.answered)),
    ("fills in (small set)", lambda result: _score(result.filled)),
)
