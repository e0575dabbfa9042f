"""What is read of NVIDIA's driver: the real binding, in a process of its own, on a stand-in for its library."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

import nvml
from ingle_daemon.models.gpu import Gpu, Process, Reading
from nvml import GIB, StandIn, gpu

_READ = (
    "import sys, msgspec; from ingle_daemon.models import gpu; sys.stdout.buffer.write(msgspec.json.encode(gpu.read()))"
)
_READ_AGAIN = """
import sys
from ingle_daemon.models import gpu
for _ in sys.stdin:
    print(gpu.read().gpus[0].free_bytes, flush=True)
"""


def read(**env: str) -> Reading:
    """What another process reads."""
    run = subprocess.run([sys.executable, "-c", _READ], env={**os.environ, **env}, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return msgspec.json.decode(run.stdout, type=Reading)


def test_a_gpu_is_described_with_what_is_on_it(driver: StandIn) -> None:
    driver.says(gpu(percent=7, degrees=51), "process 4711 1000", "window 4711 1000", "window 12 -1")
    reading = read(**driver.env)
    assert reading == Reading(
        gpus=(
            Gpu(
                index=0,
                name="NVIDIA GeForce RTX 3050",
                uuid="GPU-0",
                total_bytes=4 * GIB,
                free_bytes=3 * GIB,
                bus="0000:01:00.0",
                capability=(8, 6),
                utilization=7,
                temperature=51,
                watts=9.5,
                processes=(Process(4711, 1000), Process(12, None)),
            ),
        ),
        driver="550.120",
        cuda="12.4",
    )


def test_several_gpus_come_in_their_order(driver: StandIn) -> None:
    driver.says(gpu("One"), gpu("Two", total=24 * GIB, free=20 * GIB))
    found = read(**driver.env).gpus
    assert [(each.index, each.name, each.total_bytes) for each in found] == [(0, "One", 4 * GIB), (1, "Two", 24 * GIB)]


def test_a_gpu_that_is_divided_is_its_instances(driver: StandIn) -> None:
    driver.says(
        gpu("NVIDIA A100", mig=1, total=40 * GIB),
        f"instance {5 * GIB} {4 * GIB} NVIDIA A100 MIG 1g.5gb",
        "process 99 123",
        f"instance {20 * GIB} {20 * GIB} NVIDIA A100 MIG 3g.20gb",
        gpu("Beside"),
    )
    found = read(**driver.env).gpus
    assert [(each.index, each.name, each.free_bytes, each.instance) for each in found] == [
        (0, "NVIDIA A100 MIG 1g.5gb", 4 * GIB, True),
        (0, "NVIDIA A100 MIG 3g.20gb", 20 * GIB, True),
        (1, "Beside", 3 * GIB, False),
    ]
    assert found[0].processes == (Process(99, 123),)
    assert (found[0].utilization, found[0].watts, found[0].bus) == (None, None, "")


def test_what_a_gpu_does_not_support_is_unknown_and_nothing_else_is(driver: StandIn) -> None:
    driver.says(gpu("GB10", total=nvml.NOT_SUPPORTED, percent=-1, milliwatts=-1, mig=-1, degrees=60))
    reading = read(**driver.env)
    (found,) = reading.gpus
    assert (found.total_bytes, found.free_bytes, found.utilization, found.watts) == (None, None, None, None)
    assert found.temperature == 60
    assert not reading.problems


def test_a_driver_without_gpus_is_no_problem(driver: StandIn) -> None:
    driver.says()
    assert read(**driver.env) == Reading(driver="550.120", cuda="12.4")


def test_without_a_driver_there_are_no_gpus_and_a_reason() -> None:
    reading = read(LD_LIBRARY_PATH="")
    if reading.driver:
        pytest.skip("this machine has an NVIDIA driver")
    (problem,) = reading.problems
    assert reading.gpus == ()
    assert problem.kind == "no-driver"
    assert "libnvidia-ml.so.1" in problem.message


@pytest.mark.parametrize(
    ("error", "kind", "fix"),
    [
        (9, "not-loaded", "modprobe nvidia"),
        (18, "mismatch", "Reboot"),
        (4, "permission", "/dev/nvidia"),
        (15, "lost", "reboot"),
        (24, "other", "nvidia-smi"),
    ],
)
def test_a_driver_that_does_not_start_is_named_with_the_remedy(
    driver: StandIn, error: int, kind: str, fix: str
) -> None:
    driver.says(gpu(), init=error)
    reading = read(**driver.env)
    (problem,) = reading.problems
    assert (reading.gpus, problem.kind) == ((), kind)
    assert fix in problem.fix


@pytest.mark.parametrize("error", [15, 16])
def test_a_lost_gpu_is_said_and_the_other_one_is_read(driver: StandIn, error: int) -> None:
    driver.says(gpu("Gone", error=error), gpu("Here"))
    reading = read(**driver.env)
    assert [each.name for each in reading.gpus] == ["Here"]
    assert reading.lost
    assert "GPU 0 is lost" in reading.problems[0].message


def test_a_gpu_that_is_lost_while_it_is_read_is_lost(driver: StandIn) -> None:
    driver.says(gpu(), "fail 15")
    reading = read(**driver.env)
    assert (reading.gpus, reading.lost) == ((), True)


def test_a_gpu_that_this_user_may_not_use_is_said(driver: StandIn) -> None:
    driver.says(gpu(error=4))
    (problem,) = read(**driver.env).problems
    assert (problem.kind, problem.message) == ("permission", "GPU 0 may not be used by this user")


def test_an_error_without_a_name_of_ours_is_told_in_the_drivers_words(driver: StandIn) -> None:
    driver.says(gpu(error=24))
    assert "Frequency Not Supported" in read(**driver.env).problems[0].message


def test_a_process_that_reads_again_finds_what_has_changed(driver: StandIn) -> None:
    driver.says(gpu(free=3 * GIB))
    with subprocess.Popen(
        [sys.executable, "-c", _READ_AGAIN],
        env={**os.environ, **driver.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        for free in (3 * GIB, 1 * GIB):
            driver.says(gpu(free=free), "process 7 1")
            reader.stdin.write(b"\n")
            assert int(reader.stdout.readline()) == free
        reader.stdin.close()


def test_a_daemon_that_has_loaded_nothing_has_not_loaded_the_binding_either() -> None:
    code = "import sys, ingle_daemon.server; print(*{'pynvml', 'psutil', 'llama_cpp'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
