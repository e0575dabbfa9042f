"""What there is to load a model into: the GPUs that llama.cpp can use, as the fit planner counts them, and the memory.

llama.cpp's list says which GPUs count, NVIDIA's driver says how much of one was free before the worker, which asks,
took its share. Pure but for `memory`.
"""

from __future__ import annotations

import os

import msgspec

from ingle_daemon.models.fit import Device, Machine
from ingle_daemon.models.gpu import Gpu, Reading
from ingle_daemon.protocol import Device as Seen

__all__ = ["Memory", "counterpart", "machine", "memory", "used_gpus"]


class Memory(msgspec.Struct, frozen=True):
    """The machine's own, in bytes; what is free includes what the system would give back at once."""

    free_bytes: int
    total_bytes: int


def memory() -> Memory:
    """As it is now."""
    import psutil  # here, because only who loads a model should pay for it

    now = psutil.virtual_memory()
    return Memory(now.available, now.total)


def machine(seen: tuple[Seen, ...], reading: Reading, ram: Memory, reserve: int = 0) -> Machine:
    """The machine as the planner takes it; `reserve` bytes of each GPU are to stay free."""
    return Machine(
        devices=tuple(_device(gpu, reading.gpus, reserve) for gpu in used_gpus(seen)),
        ram_free_bytes=ram.free_bytes,
        ram_total_bytes=ram.total_bytes,
        cores=os.cpu_count() or 1,
    )


def used_gpus(seen: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """Those that llama.cpp loads a model to: the ones with memory of their own, else the ones in the processor."""
    own = tuple(device for device in seen if device.kind == "gpu")
    return own or tuple(device for device in seen if device.kind == "igpu")


def _device(seen: Seen, gpus: tuple[Gpu, ...], reserve: int) -> Device:
    known = counterpart(seen, gpus)
    free = known.free_bytes if known and known.free_bytes is not None else seen.free_bytes
    return Device(
        name=seen.description or seen.name,
        kind=seen.backend,
        free_bytes=max(free - reserve, 0),
        total_bytes=known.total_bytes if known and known.total_bytes is not None else seen.total_bytes,
        shared=seen.kind == "igpu",
    )


def counterpart(seen: Seen, gpus: tuple[Gpu, ...]) -> Gpu | None:
    """The same one in the driver's words: by where it is plugged in, else by its name where there is one such."""
    if seen.bus and (found := [gpu for gpu in gpus if gpu.bus == seen.bus]):
        return found[0]
    named = [gpu for gpu in gpus if gpu.name == seen.description]
    return named[0] if len(named) == 1 else None
