"""What the daemon does this moment, for whoever watches: requests, tokens, memory, GPUs, money. No text of anybody's.

It looks; `ingle top` asks again and again, and makes rates of the counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from ingle_daemon.metrics import Metrics, Record, Stage
from ingle_daemon.models import gpu
from ingle_daemon.routing.budget import dollars
from ingle_daemon.routing.ledger import Ledger

__all__ = ["Activity", "Speed", "Work", "look"]

_FEWEST = 16
"""Tokens from which on a request says something about the speed."""


class Work(msgspec.Struct, frozen=True):
    """The requests of one priority: those in hand, how many of them wait, are read, answer; counts since the start."""

    running: int
    waiting: int
    reading: int
    answering: int
    decoded: int
    evaluated: int
    reused: dict[str, int]


class Speed(msgspec.Struct, frozen=True):
    """Tokens a second of the requests that ended last; None where none says."""

    prefill: float | None
    decode: float | None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """`at` counts seconds of this daemon's own clock. `chat` is the model that answers, where it is another one than
    completes; `worker_bytes` is the memory of both. `spent` and `budget` are US dollars of today."""

    at: float
    version: str
    uptime_s: float
    model: dict[str, Any]
    chat: dict[str, Any] | None
    worker_bytes: int | None
    gpus: tuple[gpu.Gpu, ...]
    work: dict[str, Work]
    speed: Speed
    route: dict[str, str]
    api: dict[str, Any]
    spent: float
    budget: float | None


async def look(status: dict[str, Any], metrics: Metrics, ledger: Ledger, decided: list[dict[str, Any]]) -> Activity:
    """Everything. `status` is the daemon's own, `decided` its last decisions, the newest first."""
    engines = [engine for engine in (status["model"], status["chat"]) if engine]
    spent, reading, worker_bytes = await asyncio.gather(
        asyncio.to_thread(ledger.spent),
        asyncio.to_thread(gpu.read),
        asyncio.to_thread(_resident, [engine["worker_pid"] for engine in engines if "worker_pid" in engine]),
    )
    return Activity(
        at=time.monotonic(),
        version=status["version"],
        uptime_s=status["uptime_s"],
        model=_model(status["model"]),
        chat=_model(status["chat"]) if status["chat"] else None,
        worker_bytes=worker_bytes,
        gpus=reading.gpus,
        work=_work(metrics),
        speed=_speed(list(metrics.last)),
        route={"kind": decided[0]["route"].kind, "model": decided[0]["route"].model} if decided else {},
        api=status["api"],
        spent=dollars(spent.day),
        budget=ledger.limits.day,
    )


def _model(engine: dict[str, Any]) -> dict[str, Any]:
    info = engine.get("info")
    return {"state": engine["state"], "name": info.name if info else "", "n_ctx": info.n_ctx if info else 0}


def _work(metrics: Metrics) -> dict[str, Work]:
    return {
        priority: Work(
            tally.running,
            **{stage: tally.stages[stage] for stage in get_args(Stage)},
            decoded=tally.decoded,
            evaluated=tally.evaluated,
            reused=dict(tally.reused),
        )
        for priority, tally in metrics.tallies.items()
    }


def _speed(ended: list[Record]) -> Speed:
    read = [(one.evaluated, one.prompt_ms) for one in reversed(ended) if (one.evaluated or 0) >= _FEWEST]
    wrote = [(one.generated, one.predicted_ms) for one in reversed(ended) if one.generated >= _FEWEST]
    return Speed(_rate(read), _rate(wrote))


def _rate(newest_first: Sequence[tuple[int | None, float | None]]) -> float | None:
    return next((round(1000 * count / ms, 1) for count, ms in newest_first if count and ms), None)


def _resident(pids: list[int]) -> int | None:
    """The memory of the processes, their models' pages included; None where there is none."""
    import psutil  # here, because only who watches should pay for it

    sizes = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):  # it has just ended
            sizes.append(int(psutil.Process(pid).memory_info().rss))
    return sum(sizes) if sizes else None
