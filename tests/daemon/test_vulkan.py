"""Layers on a real GPU, if a slow one: llama.cpp's Vulkan backend on Mesa's software device. `.ci/vulkan` builds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import support
import vulkan_load
from ingle_daemon.models import gguf
from ingle_daemon.models.fit import Device, Machine
from ingle_daemon.models.memory import Kv, needs_of

pytestmark = [pytest.mark.vulkan, pytest.mark.model]

GIB = 1 << 30
GPU = Device(name="llvmpipe", kind="vulkan", free_bytes=8 * GIB, total_bytes=8 * GIB)
MACHINE = Machine(devices=(GPU,), ram_free_bytes=8 * GIB, ram_total_bytes=16 * GIB)


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    """What makes a process use the libraries, and the software device, which llama.cpp passes over by itself."""
    folder = os.environ.get("INGLE_TEST_VULKAN")
    if not folder:
        pytest.skip("INGLE_TEST_VULKAN names no libraries: run .ci/vulkan")
    return {"LLAMA_CPP_LIB_PATH": folder, "LD_LIBRARY_PATH": folder, "GGML_VK_VISIBLE_DEVICES": "0"}


@pytest.fixture
def vulkan(real: support.Instance, env: dict[str, str]) -> support.Instance:
    real.env |= env
    return real


def measured(env: dict[str, str], model: Path, layers: int, context: int, batch: int, kv: Kv) -> Any:
    command = [sys.executable, vulkan_load.__file__, str(model), *map(str, (layers, context, batch)), kv]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("layers", [31, 12])
@pytest.mark.parametrize("kv", ["f16", "q8_0"])
def test_what_is_on_the_gpu_is_what_was_planned_within_a_tenth(
    env: dict[str, str], starter: Path, layers: int, kv: Kv
) -> None:
    shape = gguf.check(starter).shape
    assert shape
    needs = needs_of(shape, MACHINE, layers, 4096, kv, 256, flash=True)
    found = measured(env, starter, layers, 4096, 256, kv)
    assert found["layers"] == layers
    assert needs.kv_gpu == pytest.approx(found["KV"], rel=0.1)
    assert needs.weights_gpu == pytest.approx(found["model"], rel=0.1)
    planned = needs.gpu - needs.driver_gpu
    assert planned == pytest.approx(found["model"] + found["KV"] + found["compute"], rel=0.1)


def test_a_model_is_planned_onto_the_gpu_as_a_whole_and_answers(vulkan: support.Instance) -> None:
    done = vulkan.run("ask", "Say yes.", timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    status = vulkan.call("GET", "/ingle/status")
    assert "vulkan" in {device["backend"] for device in status["gpu"]["devices"]}
    assert status["model"]["plan"]["full"] is True
    assert "layers    all on the GPU" in vulkan.run("ingle", "status").stdout


def test_a_model_that_is_split_answers(vulkan: support.Instance) -> None:
    vulkan.configure("[engine]\ngpu_layers = 12")
    done = vulkan.run("ask", "Say yes.", timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert vulkan.call("GET", "/ingle/status")["model"]["plan"]["gpu_layers"] == 12
    assert "layers    12 of 30 on the GPU" in vulkan.run("ingle", "status").stdout
