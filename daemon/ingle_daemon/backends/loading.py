"""How a model is loaded: as planned for the machine as it is now, one step less when that fails for memory.

It asks the planner (`models/fit.py`) and remembers what came of it (`settled.py`). It knows the frames that the worker
takes, not the worker. Reading the machine and the model's head blocks: `planned` wants a thread.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from ingle_daemon.backends.settled import Case, Settled, case
from ingle_daemon.engine import frames
from ingle_daemon.errors import IngleError
from ingle_daemon.models import fit
from ingle_daemon.models.fit import Machine, Plan, Wish
from ingle_daemon.models.shape import Shape

__all__ = ["Loading", "Planner"]

_log = logging.getLogger(__name__)
_HEAD = 1 << 20
"""Bytes of a file that name a model: its metadata. The whole of a large one would take seconds to read."""


class Planner(Protocol):
    """The two functions of models/fit.py."""

    def plan(self, shape: Shape, machine: Machine, wish: Wish) -> Plan: ...
    def steps_down(self, plan: Plan, shape: Shape, machine: Machine, wish: Wish) -> Plan | None: ...


class _Attempt(msgspec.Struct, frozen=True):
    """One way to load, and everything needed to find the next."""

    case: Case
    shape: Shape
    machine: Machine
    plan: Plan
    failed: Plan | None = None
    steps: tuple[str, ...] = ()


class Loading:
    """The load that goes on, or the last one. `observe` looks at the machine, given what llama.cpp sees of it."""

    def __init__(
        self,
        settled: Settled,
        observe: Callable[[frames.Hello], Machine],
        shape_of: Callable[[Path], Shape | None],
        planner: Planner = fit,
    ) -> None:
        self._settled = settled
        self._observe = observe
        self._shape_of = shape_of
        self._planner = planner
        self._attempt: _Attempt | None = None

    def begin(self) -> None:
        """Another load: what was tried before belongs to the last one."""
        self._attempt = None

    def planned(self, wanted: frames.Load, hello: frames.Hello) -> frames.Load:
        """`wanted` as it is to be loaded: as the settings say where its file cannot be understood."""
        if self._attempt is None:
            self._attempt = self._first(wanted, hello)
        if self._attempt is None:
            return wanted
        plan = self._attempt.plan
        return msgspec.structs.replace(
            wanted, context=plan.context, gpu_layers=plan.gpu_layers, kv_type=plan.kv_type, batch=plan.batch
        )

    def has_room(self, wanted: frames.Load, hello: frames.Hello, taken_ram: int) -> bool:
        """Whether `wanted` fits into what is free, `taken_ram` of it not being so, and where it is fast. Blocks."""
        shape, machine = self._shape_of(Path(wanted.path)), self._observe(hello)
        if shape is None:
            return False
        left = msgspec.structs.replace(machine, ram_free_bytes=max(machine.ram_free_bytes - taken_ram, 0))
        plan = self._planner.plan(shape, left, _wish(wanted))
        return plan.fits and (plan.full or not machine.devices)

    @property
    def ram_bytes(self) -> int:
        """The model's weights in memory, by the plan. The system counts them as free: they are a file's."""
        return self._attempt.plan.needs.weights_ram if self._attempt else 0

    def step_down(self) -> bool:
        """It failed for memory. True when there is something less to try; `planned` then gives it."""
        last = self._attempt
        if last is None:
            return False
        less = self._planner.steps_down(last.plan, last.shape, last.machine, last.case.wish)
        if less is None:
            return False
        step = _difference(last.plan, less)
        _log.warning("a load failed for memory: one step less", extra={"step": step})
        self._attempt = msgspec.structs.replace(last, plan=less, failed=last.plan, steps=(*last.steps, step))
        return True

    def succeeded(self) -> None:
        """It is loaded. What had to be stepped down is remembered."""
        last = self._attempt
        if last is not None and last.failed is not None:
            self._settled.remember(last.case, last.failed, last.plan, last.machine)

    @property
    def gpu_bytes(self) -> int:
        """What the model takes of the GPUs, by the plan; 0 when it runs on the CPU alone."""
        return self._attempt.plan.needs.gpu if self._attempt and self._attempt.plan.gpu_layers else 0

    def status(self) -> dict[str, object]:
        """The plan of the model that is loaded, or being loaded, and the steps that led to it."""
        if self._attempt is None:
            return {}
        return {"plan": self._attempt.plan, "steps": list(self._attempt.steps), "layers": self._attempt.shape.layers}

    def _first(self, wanted: frames.Load, hello: frames.Hello) -> _Attempt | None:
        path, machine = Path(wanted.path), self._observe(hello)
        try:
            shape, model = self._shape_of(path), _digest(path)
        except (IngleError, OSError):
            return None
        if shape is None:
            return None
        wish = _wish(wanted)
        plan = self._planner.plan(shape, machine, wish)
        belongs_to = case(model, machine, wish, hello.version)
        known = self._settled.instead_of(plan, belongs_to, machine)
        if known is None:
            return _Attempt(belongs_to, shape, machine, plan)
        return _Attempt(belongs_to, shape, machine, known, steps=(f"{_difference(plan, known)}, as the last time",))


def _wish(wanted: frames.Load) -> Wish:
    return Wish(
        context=wanted.context,
        kv_type=wanted.kv_type,
        batch=wanted.batch,
        gpu_layers=wanted.gpu_layers,
        chat=wanted.chat,
        exact=wanted.exact,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return hashlib.sha256(head + str(path.stat().st_size).encode()).hexdigest()


def _difference(before: Plan, after: Plan) -> str:
    """What the second plan does otherwise, for people."""
    names = {"kv_type": "KV cache", "context": "context", "batch": "batch", "gpu_layers": "layers on the GPU"}
    changes = [(words, getattr(before, name), getattr(after, name)) for name, words in names.items()]
    return ", ".join(f"{words} {old} → {new}" for words, old, new in changes if old != new)
