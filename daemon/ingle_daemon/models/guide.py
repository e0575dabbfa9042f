"""What can be known of models before one is fetched: the catalog searched, a model described, fitted, recommended.

Answers are plain values for the wire. It reads the catalog, the store, heads of files and the machine; it fetches and
loads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from ingle_daemon.errors import UsageError
from ingle_daemon.models import catalog, gguf, gpu
from ingle_daemon.models.catalog import Catalog, Entry
from ingle_daemon.models.fit import Device, Machine, Plan, Wish, plan
from ingle_daemon.models.machine import memory
from ingle_daemon.models.memory import room
from ingle_daemon.models.recommend import Pick, recommend
from ingle_daemon.models.shape import Shape
from ingle_daemon.models.store import Installed, Store

__all__ = ["Guide", "Supposed", "this_machine"]


class Supposed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another machine than this one, as far as it is said: bytes of GPU memory (0: no GPU) and of RAM."""

    vram: int | None = None
    ram: int | None = None
    context: int = 8192


class Guide:
    """Asks `machine` what is here each time; it may block for some 100 ms."""

    def __init__(self, store: Store, machine: Callable[[], Machine]) -> None:
        self._store = store
        self._machine = machine

    def search(self, text: str = "") -> list[dict[str, Any]]:
        """The catalog's models that have every word of `text` in their name, title, licence, family or roles."""
        words = text.lower().split()
        installed = {model.name.partition(":")[0] for model in self._store.installed()}
        return [
            _summary(entry, installed)
            for entry in catalog.load().entries
            if all(word in _searched(entry) for word in words)
        ]

    def info(self, name: str, supposed: Supposed) -> dict[str, Any]:
        """Everything about a model of the catalog or the store, and how it would be loaded."""
        model = self._store.get(name)
        entry = _known(catalog.load(), name, required=model is None)
        model = model or (self._store.get(entry.ref) if entry else None)
        shape = gguf.check(model.path).shape if model else entry.shape if entry else None
        machine = self._supposed(supposed)
        chat = entry is None or "chat" in entry.roles
        return {
            **(_described(entry) if entry else {"name": name, "title": name}),
            "installed": _installed(model),
            "context": shape.context if shape else None,
            "machine": _machine(machine),
            "fit": _planned(plan(shape, machine, Wish(context=supposed.context, chat=chat))) if shape else None,
            "quants": [_quant(entry, quant.name, machine, supposed.context) for quant in entry.quants] if entry else [],
        }

    def recommended(self, supposed: Supposed) -> dict[str, Any]:
        """The models to take on a machine, the first one first."""
        machine = self._supposed(supposed)
        picks = recommend(catalog.load(), machine, supposed.context)
        return {"machine": _machine(machine), "picks": [_pick(pick) for pick in picks]}

    def first_choice(self) -> Entry:
        """The model to take on this machine."""
        return recommend(catalog.load(), self._machine())[0].entry

    def _supposed(self, supposed: Supposed) -> Machine:
        """This machine, or the one that is asked about: all of its memory is free."""
        machine = self._machine()
        if supposed.context < 64:
            raise UsageError(f"a context of {supposed.context} tokens holds nothing", hint="Say 2048 or more.")
        if supposed.vram is not None:
            card = Device(name="GPU", kind="cuda", free_bytes=supposed.vram, total_bytes=supposed.vram)
            machine = msgspec.structs.replace(machine, devices=(card,) if supposed.vram else ())
        if supposed.ram is not None:
            machine = msgspec.structs.replace(machine, ram_free_bytes=supposed.ram, ram_total_bytes=supposed.ram)
        return machine


def this_machine() -> Machine:
    """The NVIDIA GPUs and the memory that there are. What this daemon's own workers hold counts as free: a model that
    is loaded would make room."""
    import psutil  # here, because a daemon that is asked nothing need not pay for it

    ram = memory()
    own = {child.pid: child.memory_info().rss for child in psutil.Process().children(recursive=True)}
    return Machine(
        devices=tuple(_device(found, frozenset(own)) for found in gpu.read().gpus if found.total_bytes),
        ram_free_bytes=min(ram.free_bytes + sum(own.values()), ram.total_bytes),
        ram_total_bytes=ram.total_bytes,
        cores=os.cpu_count() or 1,
    )


def _device(found: gpu.Gpu, own: frozenset[int]) -> Device:
    ours = sum(process.used_bytes or 0 for process in found.processes if process.pid in own)
    total = found.total_bytes or 0
    free = total if found.free_bytes is None else found.free_bytes
    return Device(name=found.name, kind="cuda", free_bytes=min(free + ours, total), total_bytes=total)


def _known(known: Catalog, name: str, *, required: bool) -> Entry | None:
    """What the catalog says of it; a model that is installed need not be in it."""
    try:
        return known.get(name)
    except UsageError:
        if required:
            raise
        return None


# --- for the wire ----------------------------------------------------------------------------------------


def _searched(entry: Entry) -> str:
    return " ".join((entry.name, entry.title, entry.license, entry.family, *entry.roles)).lower()


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.ref,
        "title": entry.title,
        "license": entry.license,
        "license_url": entry.license_url,
        "open": entry.open,
        "roles": list(entry.roles),
        "family": entry.family,
        "parameters": entry.parameters,
        "quant": entry.quant.name,
        "size_bytes": entry.size_bytes,
        "download_bytes": entry.download_bytes,
        "sha256": entry.sha256,
    }


def _summary(entry: Entry, installed: set[str]) -> dict[str, Any]:
    return {
        **_described(entry),
        "quants": [quant.name for quant in entry.quants],
        "installed": entry.name in installed,
    }


def _installed(model: Installed | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {"path": str(model.path), "size_bytes": model.size_bytes, "sha256": model.sha256, "source": model.source}


def _quant(entry: Entry, name: str, machine: Machine, context: int) -> dict[str, Any]:
    other = entry.quantized(name)
    wish = Wish(context=context, chat="chat" in entry.roles)
    fit = _planned(plan(other.shape, machine, wish)) if other.shape else None
    return {"name": name, "ref": other.ref, "size_bytes": other.size_bytes, "fit": fit, "layers": _layers(other.shape)}


def _layers(shape: Shape | None) -> int | None:
    """As llama.cpp counts them: the output layer is one."""
    return shape.layers + 1 if shape else None


def _planned(found: Plan) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(found)
    return {**told, "gpu_bytes": found.needs.gpu, "ram_bytes": found.needs.ram}


def _pick(pick: Pick) -> dict[str, Any]:
    return {
        "kind": pick.kind,
        **_described(pick.entry),
        "why": list(pick.why),
        "fit": _planned(pick.plan) if pick.plan else None,
        "command": f"ingle model pull {pick.entry.ref}",
    }


def _machine(machine: Machine) -> dict[str, Any]:
    may = room(machine)
    told: dict[str, Any] = msgspec.to_builtins(machine)
    return {**told, "usable_gpu_bytes": may.gpu, "usable_ram_bytes": may.ram}
