"""How a model is loaded on a machine: layers on the GPU, context, KV type, batch. Pure: numbers in, a plan out.

This module knows neither files nor drivers: `gguf.py` says what the model is, `gpu.py` what the machine has.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ingle_daemon.models.shape import Shape

__all__ = ["Device", "Machine", "Needs", "Plan", "Wish", "plan", "steps_down"]


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU. `kind` is the backend that drives it: "cuda", "vulkan", "metal"."""

    name: str
    kind: str
    free_bytes: int
    total_bytes: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to load a model into."""

    devices: tuple[Device, ...] = ()
    ram_free_bytes: int
    ram_total_bytes: int
    cores: int


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings ask for; `gpu_layers` -1 leaves it to the planner."""

    context: int = 8192
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"
    batch: int = 256
    gpu_layers: int = -1
    chat: bool = True
    """It is to answer questions, not only to complete: a shorter context would be of no use."""


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


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to load it. `full`: every layer is on the GPU. `why`: sentences for people."""

    gpu_layers: int
    """As llama.cpp counts them: the output layer is one more than the model has."""
    context: int
    kv_type: Literal["f16", "q8_0"]
    batch: int
    flash_attention: bool
    full: bool
    needs: Needs
    why: tuple[str, ...] = ()


def plan(shape: Shape, machine: Machine, wish: Wish) -> Plan:
    """The best way to load a model of `shape`: whole on the GPU, else split, else on the CPU alone."""
    raise NotImplementedError


def steps_down(plan: Plan, shape: Shape, machine: Machine, wish: Wish) -> Plan | None:
    """What to try after `plan` failed for memory: one step less. None: there is nothing less.

    The steps: a q8_0 KV cache, a shorter context, a smaller batch, fewer layers on the GPU, the CPU alone.
    """
    raise NotImplementedError
