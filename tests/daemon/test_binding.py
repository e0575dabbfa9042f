"""What is told to a user whose GPU is not used, and with which command it will be."""

from __future__ import annotations

import sys

import pytest

from ingle_daemon.models.binding import advice
from ingle_daemon.models.gpu import Gpu, Problem, Reading
from ingle_daemon.protocol import Device

CPU = Device("CPU", "a processor", "cpu", "cpu", 1, 2)
CUDA = Device("CUDA0", "NVIDIA GeForce RTX 3050", "gpu", "cuda", 1, 2)


def reading(cuda: str = "12.4", capability: tuple[int, int] | None = (8, 6)) -> Reading:
    card = Gpu(0, "NVIDIA GeForce RTX 3050", "GPU-0", 4 << 30, 3 << 30, capability=capability)
    return Reading((card,), driver="550", cuda=cuda)


def test_a_build_without_cuda_beside_a_gpu_is_told_with_the_exact_command() -> None:
    said, remedy, command = advice(("cpu",), (CPU,), reading()).splitlines()
    assert said == "the NVIDIA GeForce RTX 3050 is not used: this llama-cpp-python is built without CUDA."
    assert remedy.startswith("This installs one that uses it")
    assert command.startswith(f"{sys.executable} -m pip install --force-reinstall --no-deps --only-binary :all: ")
    assert command.endswith("/llama-cpp-python/whl/cu124 'llama-cpp-python>=0.3.36'")


@pytest.mark.parametrize(
    ("cuda", "capability", "wheel"),
    [
        ("13.3", (12, 0), "cu132"),
        ("13.1", (8, 9), "cu130"),
        ("13.1", (6, 1), "cu125"),  # CUDA 13 left Pascal behind
        ("12.9", (8, 6), "cu125"),
        ("12.0", (8, 6), "cu118"),
        ("12.2", None, "cu122"),
    ],
)
def test_the_wheel_is_the_newest_that_driver_and_gpu_run(
    cuda: str, capability: tuple[int, int] | None, wheel: str
) -> None:
    assert f"/whl/{wheel} " in advice(("cpu",), (CPU,), reading(cuda, capability))


@pytest.mark.parametrize(("cuda", "capability"), [("11.4", (8, 6)), ("12.4", (5, 2)), ("", (8, 6))])
def test_where_no_wheel_is_made_no_command_is_made_up(cuda: str, capability: tuple[int, int]) -> None:
    said = advice(("cpu",), (CPU,), reading(cuda, capability))
    assert "No wheel is made for it" in said
    assert "pip" not in said


def test_a_cuda_build_that_finds_no_gpu_is_told_why_that_may_be() -> None:
    said = advice(("cuda", "cpu"), (CPU,), reading())
    assert "CUDA_VISIBLE_DEVICES" in said
    assert "(12.4)" in said


def test_a_gpu_in_use_and_a_machine_without_one_need_no_advice() -> None:
    assert advice(("cuda", "cpu"), (CUDA, CPU), reading()) == ""
    assert advice(("vulkan", "cpu"), (Device("Vulkan0", "x", "igpu", "vulkan", 1, 2), CPU), reading()) == ""
    assert advice(("cpu",), (CPU,), Reading(problems=(Problem("no-driver", "none", "x"),))) == ""


def test_a_driver_that_does_not_work_is_told() -> None:
    broken = Reading(problems=(Problem("mismatch", "they differ", "Reboot."),))
    assert advice(("cpu",), (CPU,), broken) == "they differ. Reboot."
