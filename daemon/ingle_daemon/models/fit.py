"""How a model is loaded on a machine: layers on the GPU, context, KV type, batch. Pure: numbers in, a plan out.

A whole model on the GPU comes before a long context, and a split before the CPU alone. `docs/models.md` tells the rules
to people; `memory.py` counts the bytes. This module knows neither files nor drivers: `gguf.py` says what the model is,
`gpu.py` what the machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from ingle_daemon.models.memory import Device, Kv, Machine, Needs, needs_of, room, told
from ingle_daemon.models.shape import Shape

__all__ = ["CHAT_FLOOR", "COMPLETION_FLOOR", "Device", "Machine", "Needs", "Plan", "Wish", "plan", "steps_down"]

CHAT_FLOOR = 4096
"""The shortest context that is of use to answer questions: one file, one question, one answer."""
COMPLETION_FLOOR = 2048
"""And to complete: what stands around the cursor."""
SMALLEST_BATCH = 64
_CONTEXT_STEP = 1024
_CELLS = 256  # llama.cpp rounds a context to so many


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings ask for; `gpu_layers` -1 leaves it to the planner."""

    context: int = 8192
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"
    batch: int = 256
    gpu_layers: int = -1
    chat: bool = True
    """It is to answer questions, not only to complete."""
    exact: bool = False
    """Answers may not depend on what else runs, even where that costs speed."""

    @property
    def floor(self) -> int:
        """The shortest context that is planned; a shorter one is only ever taken where it is asked for."""
        return min(self.context, CHAT_FLOOR if self.chat else COMPLETION_FLOOR)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to load it."""

    gpu_layers: int
    """As llama.cpp counts them: the output layer is one more than the model has, and the first to go to the GPU."""
    context: int
    kv_type: Kv
    batch: int
    flash_attention: bool
    full: bool
    """Every layer is on the GPU."""
    fits: bool = True
    """False: not even the least of it fits the memory that is free; it is told all the same, to be tried."""
    needs: Needs
    why: tuple[str, ...] = ()
    """Sentences for people."""


def plan(shape: Shape, machine: Machine, wish: Wish) -> Plan:
    """The best way to load a model of `shape`: whole on the GPU, else split, else on the CPU alone."""
    wish = _within(shape, wish)
    most = shape.layers + 1 if wish.gpu_layers < 0 else min(wish.gpu_layers, shape.layers + 1)
    if most and machine.devices:
        for trial in _trials(wish, most):
            if found := _fitting(trial, shape, machine):
                return _explained(found, shape, machine, wish)
        if found := _split(shape, machine, wish, most - 1):
            return _explained(found, shape, machine, wish)
    return _explained(_on_cpu(shape, machine, wish), shape, machine, wish)


def steps_down(plan: Plan, shape: Shape, machine: Machine, wish: Wish) -> Plan | None:
    """What to try after `plan` failed for memory: one step less. None: there is nothing less.

    The steps, in this order: a q8_0 KV cache, half the context, half the batch, three quarters of the layers on the
    GPU, the CPU alone (with a context as long as it may be there).
    """
    wish = _within(shape, wish)
    trial = _Trial(plan.gpu_layers, plan.context, plan.kv_type, plan.batch)
    if trial.kv_type == "f16" and wish.kv_type == "auto":
        return _stepped(trial._replace(kv_type="q8_0"), shape, machine, "the KV cache in q8_0 instead of f16")
    if trial.context > wish.floor:
        shorter = max(trial.context // 2 // _CELLS * _CELLS, wish.floor)
        return _stepped(trial._replace(context=shorter), shape, machine, f"a context of {shorter:,} tokens")
    if trial.batch > SMALLEST_BATCH:
        smaller = max(trial.batch // 2, SMALLEST_BATCH)
        return _stepped(trial._replace(batch=smaller), shape, machine, f"batches of {smaller} tokens")
    if (fewer := trial.layers * 3 // 4) > 1:
        return _stepped(trial._replace(layers=fewer), shape, machine, f"{fewer} layers on the GPU")
    if trial.layers:
        on_cpu = _on_cpu(shape, machine, wish)
        return msgspec.structs.replace(on_cpu, why=("Loading it failed for memory: now on the CPU alone.",))
    return None


class _Trial(NamedTuple):
    layers: int
    context: int
    kv_type: Kv
    batch: int


def _within(shape: Shape, wish: Wish) -> Wish:
    """The wish with no more context than the model was trained for."""
    context = min(wish.context, shape.context) if shape.context else wish.context
    return msgspec.structs.replace(wish, context=context, batch=min(wish.batch, context))


def _kv_type(wish: Wish, best: Kv = "q8_0") -> Kv:
    return best if wish.kv_type == "auto" else wish.kv_type


def _trials(wish: Wish, layers: int) -> Iterator[_Trial]:
    """From the best to the least that is better than fewer layers."""
    kv = _kv_type(wish)
    yield _Trial(layers, wish.context, _kv_type(wish, best="f16"), wish.batch)
    for context in _contexts(wish):
        yield _Trial(layers, context, kv, wish.batch)
    batch = wish.batch
    while batch > SMALLEST_BATCH:
        batch = max(batch // 2, SMALLEST_BATCH)
        yield _Trial(layers, wish.floor, kv, batch)


def _contexts(wish: Wish) -> Iterator[int]:
    """From the one wished for down to the floor."""
    yield wish.context
    yield from range((wish.context - 1) // _CONTEXT_STEP * _CONTEXT_STEP, wish.floor, -_CONTEXT_STEP)
    yield wish.floor


def _split(shape: Shape, machine: Machine, wish: Wish, most: int) -> Plan | None:
    """As many layers on the GPU as fit beside the context wished for; the output layer alone is not worth it."""
    for layers in range(min(most, shape.layers), 1, -1):
        trial = _Trial(layers, wish.context, _kv_type(wish), wish.batch)
        found = _planned(trial, shape, machine)
        if found.needs.gpu <= room(machine).gpu:
            shorter = (_fitting(trial._replace(context=context), shape, machine) for context in _contexts(wish))
            return next((plan for plan in shorter if plan), msgspec.structs.replace(found, fits=False))
    return None


def _on_cpu(shape: Shape, machine: Machine, wish: Wish) -> Plan:
    """Without a GPU: the longest context that fits, or the shortest where none does.

    There q8_0 makes answers exact, if the weights do, and f16 reads long prompts about twice as fast.
    """
    best: Kv = "q8_0" if shape.steady or wish.exact else "f16"
    trials = [
        _Trial(0, wish.context, _kv_type(wish, best), wish.batch),
        *(_Trial(0, context, _kv_type(wish), wish.batch) for context in _contexts(wish)),
    ]
    found = (_fitting(trial, shape, machine) for trial in trials)
    least = _planned(trials[-1], shape, machine)
    return next((plan for plan in found if plan), msgspec.structs.replace(least, fits=False))


def _fitting(trial: _Trial, shape: Shape, machine: Machine) -> Plan | None:
    found = _planned(trial, shape, machine)
    return found if room(machine).holds(found.needs) else None


def _planned(trial: _Trial, shape: Shape, machine: Machine) -> Plan:
    flash = bool(trial.layers) or trial.kv_type == "q8_0"  # as runner.py chooses
    needs = needs_of(shape, machine, trial.layers, trial.context, trial.kv_type, trial.batch, flash=flash)
    return Plan(
        gpu_layers=trial.layers,
        context=trial.context,
        kv_type=trial.kv_type,
        batch=trial.batch,
        flash_attention=flash,
        full=trial.layers > shape.layers,
        needs=needs,
    )


def _stepped(trial: _Trial, shape: Shape, machine: Machine, what: str) -> Plan:
    return msgspec.structs.replace(
        _planned(trial, shape, machine), why=(f"Loading it failed for memory: now with {what}.",)
    )


# --- in words --------------------------------------------------------------------------------------------


def _explained(found: Plan, shape: Shape, machine: Machine, wish: Wish) -> Plan:
    return msgspec.structs.replace(found, why=tuple(_sentences(found, shape, machine, wish)))


def _sentences(found: Plan, shape: Shape, machine: Machine, wish: Wish) -> Iterator[str]:
    gpu, ram, free = told(found.needs.gpu), told(found.needs.ram), room(machine)
    if found.full:
        yield f"The whole model is on the GPU: it takes {gpu} of the {told(free.gpu)} that may be used."
    elif found.gpu_layers:
        yield (
            f"{found.gpu_layers} of {shape.layers + 1} layers are on the GPU, in {gpu} of the {told(free.gpu)} that may"
            f" be used; the CPU evaluates the others, which is several times slower."
        )
    elif not machine.devices:
        yield f"There is no GPU: the CPU evaluates it, in {ram} of memory."
    elif not wish.gpu_layers:
        yield f"Nothing is to go to the GPU: the CPU evaluates it, in {ram} of memory."
    else:
        yield f"Of the GPU {told(free.gpu)} may be used, which no layer fits: the CPU evaluates it, in {ram} of memory."
    if found.gpu_layers and found.kv_type == "q8_0" and wish.kv_type == "auto":
        yield f"The KV cache holds q8_0 instead of f16, so that it takes {told(found.needs.kv)}, about half."
    if found.context < wish.context:
        yield f"The context is {found.context:,} instead of {wish.context:,} tokens: no more fits beside the weights."
    if found.batch < wish.batch:
        yield f"Prompts are read in batches of {found.batch} instead of {wish.batch} tokens, which takes less memory."
    if not found.fits:
        yield f"That is more than is free: {ram} of memory are needed, {told(free.ram)} may be used."
