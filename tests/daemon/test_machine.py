"""The machine as the planner counts it: llama.cpp's list of GPUs, NVIDIA's numbers where it has them."""

from __future__ import annotations

from ingle_daemon.models.gpu import Gpu, Reading
from ingle_daemon.models.machine import Memory, machine, memory
from ingle_daemon.protocol import Device

RAM = Memory(6000, 8000)
CPU = Device("CPU", "a processor", "cpu", "cpu", 6000, 8000)


def cuda(number: int, bus: str = "", name: str = "RTX 3050") -> Device:
    return Device(f"CUDA{number}", name, "gpu", "cuda", 90, 100, bus)


def gpu(index: int, free: int | None, bus: str = "", name: str = "RTX 3050") -> Gpu:
    return Gpu(index, name, f"GPU-{index}", None if free is None else 400, free, bus)


def free(seen: tuple[Device, ...], *gpus: Gpu) -> list[tuple[str, int, int]]:
    found = machine(seen, Reading(gpus), RAM).devices
    return [(device.kind, device.free_bytes, device.total_bytes) for device in found]


def test_a_gpus_memory_is_what_its_driver_saw_before_the_worker_took_any() -> None:
    assert free((cuda(0, "0000:01:00.0"), CPU), gpu(0, 300, "0000:01:00.0")) == [("cuda", 300, 400)]


def test_gpus_in_another_order_are_told_apart_by_their_place() -> None:
    seen = (cuda(0, "0000:02:00.0"), cuda(1, "0000:01:00.0"))
    assert free(seen, gpu(0, 111, "0000:01:00.0"), gpu(1, 222, "0000:02:00.0")) == [
        ("cuda", 222, 400),
        ("cuda", 111, 400),
    ]


def test_without_a_place_a_name_tells_which_it_is_unless_two_have_it() -> None:
    assert free((cuda(0),), gpu(0, 300)) == [("cuda", 300, 400)]
    assert free((cuda(0),), gpu(0, 300), gpu(1, 200)) == [("cuda", 90, 100)]


def test_what_the_driver_does_not_know_llama_cpp_says() -> None:
    assert free((cuda(0, "0000:01:00.0"),), gpu(0, None, "0000:01:00.0")) == [("cuda", 90, 100)]
    assert free((Device("Vulkan0", "Radeon", "gpu", "vulkan", 70, 80), CPU)) == [("vulkan", 70, 80)]


def test_a_gpu_in_the_processor_counts_only_where_there_is_no_other() -> None:
    inside = Device("Vulkan1", "Iris", "igpu", "vulkan", 50, 60)
    assert free((cuda(0), inside)) == [("cuda", 90, 100)]
    assert free((inside, CPU)) == [("vulkan", 50, 60)]


def test_a_gpu_that_llama_cpp_cannot_use_is_none() -> None:
    assert free((CPU,), gpu(0, 300)) == []


def test_the_memory_is_this_machines() -> None:
    now = memory()
    assert 0 < now.free_bytes < now.total_bytes
    assert machine((), Reading(), RAM).ram_free_bytes == 6000
