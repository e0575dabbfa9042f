"""How many bytes a loaded model takes, by what they are for and where they lie. Pure, and all that is assumed about it.

What each number was measured with: `tests/daemon/test_memory.py`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from ingle_daemon.models.shape import Shape

__all__ = ["SEQUENCES", "Device", "Kv", "Machine", "Needs", "Room", "needs_of", "room", "told"]

Kv = Literal["f16", "q8_0"]

SEQUENCES = 17
"""What the engine keeps apart in its cache: its slots and the ballast."""
MARGIN = 0.05
"""Of a device's or the machine's memory, left free: past 95 % a model barely fits, and the next window breaks it."""

_VALUE_BYTES = {"f16": 2.0, "q8_0": 34 / 32}
_DRIVER_BYTES = {"cuda": 600_000_000, "vulkan": 150_000_000, "metal": 50_000_000}
"""What a backend takes of a device for itself: on CUDA 376 to 600 MB, measured; the others are guessed high."""
_UNKNOWN_DRIVER_BYTES = 600_000_000
_SHARED = ("metal",)
"""Backends whose GPUs never have memory of their own."""
_LARGEST_PART = 0.4
"""Of a layer's weights, its largest tensor: those in RAM pass through the GPU where a prompt is read, one at a time."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU. `kind` is the backend that drives it: "cuda", "vulkan", "metal"."""

    name: str
    kind: str
    free_bytes: int
    total_bytes: int
    shared: bool = False
    """Its memory is the machine's: it sits in the processor."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to load a model into."""

    devices: tuple[Device, ...] = ()
    ram_free_bytes: int
    ram_total_bytes: int
    cores: int = 1


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, by what they are for and where they lie."""

    weights_gpu: int = 0
    weights_ram: int = 0
    kv_gpu: int = 0
    kv_ram: int = 0
    compute_gpu: int = 0
    compute_ram: int = 0
    driver_gpu: int = 0

    @property
    def gpu(self) -> int:
        return self.weights_gpu + self.kv_gpu + self.compute_gpu + self.driver_gpu

    @property
    def ram(self) -> int:
        return self.weights_ram + self.kv_ram + self.compute_ram

    @property
    def kv(self) -> int:
        return self.kv_gpu + self.kv_ram


class Room(NamedTuple):
    """What may be used of the memory that is free."""

    gpu: int
    ram: int
    shared: bool
    """The GPU's memory is the machine's."""

    def holds(self, needs: Needs) -> bool:
        return needs.gpu <= self.gpu and needs.ram + (needs.gpu if self.shared else 0) <= self.ram


def room(machine: Machine) -> Room:
    """What may be used of a machine."""
    gpu = sum(max(device.free_bytes - int(device.total_bytes * MARGIN), 0) for device in machine.devices)
    ram = max(machine.ram_free_bytes - int(machine.ram_total_bytes * MARGIN), 0)
    return Room(gpu, ram, any(device.shared or device.kind in _SHARED for device in machine.devices))


def needs_of(
    shape: Shape, machine: Machine, gpu_layers: int, context: int, kv_type: Kv, batch: int, *, flash: bool
) -> Needs:
    """What it takes to run a model with the output layer and the last `gpu_layers` - 1 others on the GPU."""
    if not gpu_layers:
        return Needs(
            weights_ram=shape.stored_bytes,
            kv_ram=_kv_bytes(shape, 0, context, kv_type),
            compute_ram=_compute_bytes(shape, context, batch, flash=flash) + _output_bytes(shape),
        )
    first = max(shape.layers + 1 - gpu_layers, 0)
    split, devices = first > 0, len(machine.devices)
    return Needs(
        weights_gpu=sum(shape.layer_bytes[first:]) + shape.output_bytes + _uneven(shape, devices),
        weights_ram=sum(shape.layer_bytes[:first]) + shape.embedding_bytes,
        kv_gpu=_kv_bytes(shape, first, context, kv_type),
        kv_ram=_kv_bytes(shape, 0, context, kv_type) - _kv_bytes(shape, first, context, kv_type),
        compute_gpu=devices * (_compute_bytes(shape, context, batch, flash=True) + _passing_bytes(shape, split=split)),
        compute_ram=_output_bytes(shape)
        + (_layer_compute_bytes(shape, batch) if split else 4 * batch * shape.embedding),
        driver_gpu=sum(_DRIVER_BYTES.get(device.kind, _UNKNOWN_DRIVER_BYTES) for device in machine.devices),
    )


def told(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB" if count >= 999_500_000 else f"{count / 1e6:.0f} MB"


def _kv_bytes(shape: Shape, first: int, context: int, kv_type: Kv) -> int:
    """Of the layers from `first` on. A sliding window saves nothing: the engine has llama.cpp keep all cells, so that
    a prompt can be gone back in; and a recurrent layer has a state of each sequence in their place."""
    cells = -(-context // 256) * 256
    per_cell = sum(shape.kv_heads[first:]) * (shape.key_length + shape.value_length) * _VALUE_BYTES[kv_type]
    states = SEQUENCES * shape.state_bytes * (shape.layers - first) // shape.layers
    return int(cells * per_cell) + states


def _compute_bytes(shape: Shape, context: int, batch: int, *, flash: bool) -> int:
    """The largest moment of a batch's evaluation: all its logits at the end, one feed-forward, or, where attention is
    not fused, the product of one layer's queries and keys."""
    logits = shape.vocabulary + 3 * shape.embedding
    plain = 0 if flash else context * shape.heads + 3 * context + 6 * shape.embedding
    return max(4 * batch * max(logits, plain), _layer_compute_bytes(shape, batch))


def _layer_compute_bytes(shape: Shape, batch: int) -> int:
    return 4 * batch * (3 * shape.feed_forward * max(shape.experts_used, 1) + 5 * shape.embedding)


def _output_bytes(shape: Shape) -> int:
    """Where llama.cpp puts the logits that are asked for: one of each sequence."""
    return 4 * SEQUENCES * shape.vocabulary


def _passing_bytes(shape: Shape, *, split: bool) -> int:
    return int(max(shape.layer_bytes) * _LARGEST_PART) if split else 0


def _uneven(shape: Shape, devices: int) -> int:
    """Several GPUs take whole layers, so that on each but the last up to one finds no place."""
    return max(shape.layer_bytes) * (devices - 1)
