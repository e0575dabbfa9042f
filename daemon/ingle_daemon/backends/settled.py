"""How a model was loaded at last that had not fitted as planned, for each model and machine, in a small file.

It knows plans and their needs, not how a plan is made. What is remembered holds while model, settings and machine are
the same, the plan asks for no less than what failed, and no more memory is free than then.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from ingle_daemon.models.fit import Machine, Plan, Wish

__all__ = ["Case", "Settled", "case"]

_MOST = 32
_MORE = 1.25
"""So many times the free memory of then is more than then: it differs by itself from one start to the next."""


class Case(msgspec.Struct, frozen=True):
    """What an outcome belongs to: the model's file, what is in it, on which machine, as which settings wish."""

    model: str
    machine: str
    wish: Wish


class _Outcome(msgspec.Struct, frozen=True):
    """`failed` is the least that failed, `loaded` what loaded instead. Free bytes are those of then."""

    case: Case
    failed: Plan
    loaded: Plan
    gpu_free: int
    ram_free: int


def case(model: str, machine: Machine, wish: Wish, version: str) -> Case:
    """The case of a model's digest, loaded by llama.cpp `version`."""
    devices = [f"{device.kind} {device.name} {device.total_bytes}" for device in machine.devices]
    return Case(model, " + ".join([*devices, f"RAM {machine.ram_total_bytes}", f"llama.cpp {version}"]), wish)


class Settled:
    """The outcomes in `path`. A file that cannot be read holds none; one that cannot be written costs a failed load."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def instead_of(self, planned: Plan, case: Case, machine: Machine) -> Plan | None:
        """What loaded the last time, where `planned` would fail as it did then."""
        for outcome in self._outcomes():
            if outcome.case == case and _would_fail(planned, outcome, machine):
                return outcome.loaded
        return None

    def remember(self, case: Case, failed: Plan, loaded: Plan, machine: Machine) -> None:
        """Replaces what was known of this model on this machine."""
        others = [
            each for each in self._outcomes() if (each.case.model, each.case.machine) != (case.model, case.machine)
        ]
        fresh = _Outcome(case, failed, loaded, _gpu_free(machine), machine.ram_free_bytes)
        with contextlib.suppress(OSError):
            self._write([*others, fresh][-_MOST:])

    def _outcomes(self) -> list[_Outcome]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[_Outcome])
        except (OSError, msgspec.DecodeError):
            return []

    def _write(self, outcomes: list[_Outcome]) -> None:
        partial = self._path.with_suffix(".new")
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(outcomes))
        partial.replace(self._path)


def _would_fail(planned: Plan, then: _Outcome, machine: Machine) -> bool:
    asks = planned.needs.gpu >= then.failed.needs.gpu and planned.needs.ram >= then.failed.needs.ram
    more_gpu = _gpu_free(machine) > _MORE * then.gpu_free
    more_ram = machine.ram_free_bytes > _MORE * then.ram_free
    return asks and not (more_gpu if then.failed.needs.gpu else more_ram)


def _gpu_free(machine: Machine) -> int:
    return sum(device.free_bytes for device in machine.devices)
