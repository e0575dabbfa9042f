"""The machine's NVIDIA GPUs as their driver describes them. The only importer of pynvml.

It reads and says what is wrong, in words; it knows neither models nor what the memory is for. GPUs of other makers are
not seen here: llama.cpp lists those that it can use itself (`engine/devices.py`). `read` asks the driver anew each time
and lets go of it again, so that a driver that changes, or a GPU that goes away while the machine sleeps, is seen as it
is; it blocks for some milliseconds, some hundred where the driver has to wake a GPU.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

__all__ = ["Gpu", "Problem", "ProblemKind", "Process", "Reading", "read"]

_T = TypeVar("_T")
_reading = threading.Lock()  # the library counts who uses it, for the whole process


class _Value(msgspec.Struct, frozen=True):
    pass


class Process(_Value, frozen=True):
    """Who holds memory of a GPU; `used_bytes` None where the driver does not tell how much."""

    pid: int
    used_bytes: int | None


class Gpu(_Value, frozen=True):
    """One GPU, or one MIG instance of a GPU that is divided. None is what the driver does not know.

    Without `total_bytes` it has no memory of its own: it shares the machine's. `bus` is where it is plugged in, as
    "0000:01:00.0"; `capability` the generation of its CUDA, (8, 6) say. `utilization` is in percent, `temperature` in
    degrees Celsius.
    """

    index: int
    name: str
    uuid: str
    total_bytes: int | None
    free_bytes: int | None
    bus: str = ""
    capability: tuple[int, int] | None = None
    utilization: int | None = None
    temperature: int | None = None
    watts: float | None = None
    processes: tuple[Process, ...] = ()
    instance: bool = False


ProblemKind = Literal["no-driver", "not-loaded", "mismatch", "lost", "permission", "other"]


class Problem(_Value, frozen=True):
    """Why a GPU, or all of them, cannot be used, and what to do about it."""

    kind: ProblemKind
    message: str
    fix: str


class Reading(_Value, frozen=True):
    """What the driver says now. `cuda` is the newest CUDA that it runs, "12.4" say; "" where there is no driver."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[Problem, ...] = ()
    driver: str = ""
    cuda: str = ""

    @property
    def lost(self) -> bool:
        """A GPU is there and does not answer."""
        return any(problem.kind == "lost" for problem in self.problems)


def read() -> Reading:
    """Ask the driver. Without one the answer holds no GPU and the reason; nothing is raised."""
    import pynvml  # here, because only a look at the GPUs should pay for it

    with _reading:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return Reading(problems=(_problem(pynvml, error, "the NVIDIA driver"),))
        try:
            return _Look(pynvml).reading()
        except pynvml.NVMLError as error:
            return Reading(problems=(_problem(pynvml, error, "the NVIDIA driver"),))
        finally:
            with contextlib.suppress(pynvml.NVMLError):  # a driver that has gone away needs no goodbye
                pynvml.nvmlShutdown()


class _Look:
    """One look through an initialized library."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._problems: list[Problem] = []

    def reading(self) -> Reading:
        nvml = self._nvml
        gpus = [gpu for index in range(nvml.nvmlDeviceGetCount()) for gpu in self._at(index)]
        return Reading(
            tuple(gpus),
            tuple(self._problems),
            driver=self._known(nvml.nvmlSystemGetDriverVersion) or "",
            cuda=_version(self._known(nvml.nvmlSystemGetCudaDriverVersion_v2)),
        )

    def _at(self, index: int) -> list[Gpu]:
        """The GPU `index`, or its instances; nothing, and a problem, where it does not answer."""
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            return [self._describe(index, part, instance=part is not handle) for part in self._parts(handle)]
        except nvml.NVMLError as error:
            self._problems.append(_problem(nvml, error, f"GPU {index}"))
            return []

    def _parts(self, handle: Any) -> Iterator[Any]:
        """The instances of a GPU that is divided into such, else itself."""
        nvml = self._nvml
        current, _ = self._known(nvml.nvmlDeviceGetMigMode, handle) or (nvml.NVML_DEVICE_MIG_DISABLE, 0)
        if current != nvml.NVML_DEVICE_MIG_ENABLE:
            yield handle
            return
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with contextlib.suppress(nvml.NVMLError_NotFound):  # a place for an instance that was not made
                yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)

    def _describe(self, index: int, handle: Any, *, instance: bool) -> Gpu:
        nvml = self._nvml
        memory = self._known(nvml.nvmlDeviceGetMemoryInfo, handle)
        load = self._known(nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = self._known(nvml.nvmlDeviceGetPowerUsage, handle)
        place = self._known(nvml.nvmlDeviceGetPciInfo, handle)
        return Gpu(
            index=index,
            name=nvml.nvmlDeviceGetName(handle),
            uuid=nvml.nvmlDeviceGetUUID(handle),
            total_bytes=memory.total if memory else None,
            free_bytes=memory.free if memory else None,
            bus=f"{place.domain:04x}:{place.bus:02x}:{place.device:02x}.0" if place else "",
            capability=self._known(nvml.nvmlDeviceGetCudaComputeCapability, handle),
            utilization=load.gpu if load else None,
            temperature=self._known(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            watts=None if milliwatts is None else milliwatts / 1000,
            processes=self._processes(handle),
            instance=instance,
        )

    def _processes(self, handle: Any) -> tuple[Process, ...]:
        """Everybody once: a program that draws and computes is on both lists, with the same number."""
        nvml = self._nvml
        lists = (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses)
        found = [process for each in lists for process in self._known(each, handle) or ()]
        return tuple(Process(pid, used) for pid, used in {each.pid: each.usedGpuMemory for each in found}.items())

    def _known(self, ask: Callable[..., _T], *arguments: Any) -> _T | None:
        """The answer, or None where this GPU or this driver does not have it."""
        nvml = self._nvml
        try:
            return ask(*arguments)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
            return None


def _version(number: int | None) -> str:
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def _problem(nvml: Any, error: Any, what: str) -> Problem:
    """The error in words that say what to do."""
    lost = Problem(
        "lost",
        f"{what} is lost: it no longer answers its driver, as happens after a suspend",
        "If it stays so, reboot, or reload the driver: `sudo rmmod nvidia_uvm && sudo modprobe nvidia_uvm`.",
    )
    known: dict[int, Problem] = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: Problem(
            "no-driver",
            "no NVIDIA driver is installed (there is no libnvidia-ml.so.1)",
            "Where there is an NVIDIA GPU, install its driver.",
        ),
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: Problem(
            "not-loaded",
            "the NVIDIA driver is installed, but the kernel has not loaded it",
            "`sudo modprobe nvidia` says why; after a new kernel or driver, reboot.",
        ),
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Problem(
            "mismatch",
            "the NVIDIA driver in the kernel and its library are of different versions: it was upgraded while it ran",
            "Reboot: that loads the new one.",
        ),
        nvml.NVML_ERROR_NO_PERMISSION: Problem(
            "permission",
            f"{what} may not be used by this user",
            "Look at `ls -l /dev/nvidia*`: the user must be in their group (often `video` or `render`).",
        ),
        nvml.NVML_ERROR_GPU_IS_LOST: lost,
        nvml.NVML_ERROR_RESET_REQUIRED: lost,
    }
    found = known.get(error.value)
    return found or Problem("other", f"{what} fails: {error}", "`nvidia-smi` says more.")
