"""What `ingle top` shows: rates of two looks at the daemon, and lines of them. Pure: values in, rich text out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ingle_shell.render import duration, limit_text, plain, size, stages

__all__ = ["Gpu", "Rates", "Sample", "Speed", "Work", "rates", "screen"]

_BARS = "▁▂▃▄▅▆▇█"
_MEANS = {"resident": "in the cache", "shelf": "from memory", "splice": "lent"}


class Work(msgspec.Struct, frozen=True):
    """Requests of one priority, and counts since the daemon started."""

    running: int
    waiting: int
    reading: int
    answering: int
    decoded: int
    evaluated: int
    reused: dict[str, int] = {}


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    total_bytes: int | None = None
    free_bytes: int | None = None
    utilization: int | None = None
    temperature: int | None = None
    watts: float | None = None


class Speed(msgspec.Struct, frozen=True):
    prefill: float | None = None
    decode: float | None = None


class Model(msgspec.Struct, frozen=True):
    state: str
    name: str = ""
    n_ctx: int = 0


class Api(msgspec.Struct, frozen=True):
    configured: bool = False
    allowed: bool = False
    model: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the daemon."""

    at: float
    version: str
    uptime_s: float
    model: Model
    chat: Model | None = None
    work: dict[str, Work]
    worker_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()
    speed: Speed = Speed()
    route: dict[str, str] = {}
    api: Api = Api()
    spent: float = 0.0
    budget: float | None = None


class Rates(msgspec.Struct, frozen=True):
    """Tokens a second between two looks, all requests together; None where there are no two."""

    decode: float | None = None


def rates(before: Sample | None, now: Sample) -> Rates:
    """What happened between them. A daemon that was started anew in between has nothing to compare with."""
    if before is None or now.at <= before.at or now.uptime_s < before.uptime_s:
        return Rates()
    decoded = sum(work.decoded for work in now.work.values()) - sum(work.decoded for work in before.work.values())
    return Rates(round(decoded / (now.at - before.at), 1))


def screen(sample: Sample, rate: Rates, history: Sequence[float] = ()) -> RenderableType:
    """Everything, a line each. `history` are decode rates, the newest last."""
    rows = Table.grid()
    rows.add_column(no_wrap=True, style="bold", width=11)
    rows.add_column()
    _add(rows, "ingled", f"{plain(sample.version)}, up {duration(sample.uptime_s)}")
    _add(rows, "model", _told_model(sample.model))
    if sample.chat:
        _add(rows, "questions", _told_model(sample.chat))
    for gpu in sample.gpus:
        _add(rows, "GPU", _told_gpu(gpu))
        if gpu.total_bytes and gpu.free_bytes is not None:
            _add(rows, "VRAM", _told_memory(gpu.total_bytes - gpu.free_bytes, gpu.total_bytes))
    if sample.worker_bytes is not None:
        _add(rows, "worker", size(sample.worker_bytes))
    for priority, work in sample.work.items():
        _add(rows, priority[:10], stages(work.answering, work.reading, work.waiting))
    _add(rows, "decode", _told_decode(sample, rate, history))
    _add(rows, "prefill", _told_rate(sample.speed.prefill, "last"))
    _add(rows, "cache", _told_cache(sample))
    _add(rows, "route", _told_route(sample))
    _add(rows, "cost", _told_cost(sample))
    return Group(rows)


def _add(rows: Table, name: str, told: str | Text) -> None:
    """A line. The text does not wrap, not the column: rich makes one narrower only if that wraps."""
    text = Text(told) if isinstance(told, str) else told
    text.no_wrap, text.overflow = True, "ellipsis"
    rows.add_row(name, text)


def _told_model(model: Model) -> str:
    return f"{plain(model.name)} ({model.state})".strip()


def _told_gpu(gpu: Gpu) -> str:
    facts = [
        f"{gpu.utilization} %" if gpu.utilization is not None else "",
        f"{gpu.temperature} °C" if gpu.temperature is not None else "",
        f"{gpu.watts:.0f} W" if gpu.watts is not None else "",
    ]
    return ", ".join(filter(None, [*facts, plain(gpu.name)]))


def _told_memory(used: int, total: int) -> str:
    return f"{size(used)} of {size(total)}, {100 * used // total} %"


def _told_decode(sample: Sample, rate: Rates, history: Sequence[float]) -> Text:
    now = _told_rate(rate.decode, "now") if rate.decode else _told_rate(sample.speed.decode, "last")
    return Text(now).append(f"  {_sparks(history)}" if any(history) else "", style="cyan")


def _told_rate(rate: float | None, when: str) -> str:
    return "-" if rate is None else f"{rate:.1f} tokens/s {when}"


def _sparks(history: Sequence[float]) -> str:
    top = max(history)
    return "".join(_BARS[min(int(len(_BARS) * value / top), len(_BARS) - 1)] for value in history)


def _told_cache(sample: Sample) -> str:
    """Of all prompt tokens, how many needed no evaluation, and by what means."""
    reused = {means: sum(work.reused.get(means, 0) for work in sample.work.values()) for means in _MEANS}
    total = sum(reused.values()) + sum(work.evaluated for work in sample.work.values())
    if not total:
        return "-"
    told = ", ".join(f"{100 * count // total} % {_MEANS[means]}" for means, count in reused.items() if count)
    return f"{100 * sum(reused.values()) // total} % reused" + (f": {told}" if told else "")


def _told_route(sample: Sample) -> str:
    last = f"last {sample.route['kind']}, {plain(sample.route['model'])}" if sample.route else "local"
    if not sample.api.configured:
        return last
    return f"{last}; API {plain(sample.api.model)} {'allowed' if sample.api.allowed else 'not allowed'}"


def _told_cost(sample: Sample) -> str:
    of = f" of {limit_text(sample.budget)}" if sample.budget is not None else ""
    return f"${sample.spent:.4f}{of} today"
