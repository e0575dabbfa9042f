"""Where the model is, and how it got there: the real model in real workers, short of memory, or with a GPU beside."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import support
from ingle_daemon.engine.runner import Runner, RunnerOptions
from nvml import StandIn, gpu
from support import wait_until

pytestmark = pytest.mark.model

MIB = 1 << 20
# A daemon that is started so, and its workers, get no more memory than this.
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def status_of(instance: support.Instance) -> Any:
    return instance.call("GET", "/ingle/status")


def worker_of(instance: support.Instance) -> psutil.Process:
    return psutil.Process(status_of(instance)["model"]["worker_pid"])


def load(instance: support.Instance, limit: int | None = None) -> str:
    """`ingle load`, in a daemon with so many bytes for data; what it says."""
    command = ["ingle", "load"]
    if limit is not None:
        command = [sys.executable, "-c", _LIMITED, str(limit), *command]
    done = instance.run(*command, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- a load that fails for memory ----------------------------------------------------------------------------------


@pytest.fixture
def enough(real: support.Instance) -> int:
    """Bytes of data that a worker with the whole context takes."""
    real.configure("[engine]\ncontext = 8192\nfim_tokens = 512")
    load(real)
    text = Path(f"/proc/{worker_of(real).pid}/status").read_text()
    assert status_of(real)["model"]["info"]["n_ctx"] == 8192
    real.run("ingle", "stop")
    (found,) = re.findall(r"VmData:\s+(\d+) kB", text)
    return int(found) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process for real")
def test_a_context_without_memory_for_it_is_stepped_down_told_and_remembered(
    real: support.Instance, enough: int
) -> None:
    limit = enough - 10 * MIB
    assert "is loaded" in load(real, limit)
    first = status_of(real)["model"]
    context = first["info"]["n_ctx"]
    assert first["state"] == "ready"
    assert 1024 <= context < 8192
    assert first["restarts"] == 0
    assert all(" → " in step for step in first["steps"])
    shown = real.run("ingle", "status").stdout
    assert f"context   {context} tokens" in shown
    assert f"memory    not enough: {first['steps'][0]}" in shown
    log = [json.loads(line) for line in real.log_file.read_text().splitlines() if line.startswith("{")]
    assert [line["step"] for line in log if "step" in line] == first["steps"]

    kept = Path(real.xdg["XDG_STATE_HOME"]) / "ingle/loads.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    real.run("ingle", "stop")
    load(real, limit)
    again = status_of(real)["model"]
    assert again["info"]["n_ctx"] == context
    assert [step.endswith(", as the last time") for step in again["steps"]] == [True]
    assert real.run("ask", "Say yes.", timeout=120).returncode == 0

    real.run("ingle", "stop")
    kept.write_text("damaged")
    load(real)
    assert status_of(real)["model"]["info"]["n_ctx"] == 8192
    assert status_of(real)["model"]["steps"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process for real")
def test_a_model_without_memory_for_the_least_of_it_is_refused_with_what_was_missing(real: support.Instance) -> None:
    command = [sys.executable, "-c", _LIMITED, str(200 * MIB), "ingle", "load"]
    done = real.run(*command, timeout=120)
    assert done.returncode == 4
    assert re.search("no memory for (the model|a context|/)", done.stderr), done.stderr
    model = status_of(real)["model"]
    assert model["state"] == "failed"
    assert model["steps"][0] == "context 8192 → 4096"
    assert not (Path(real.xdg["XDG_STATE_HOME"]) / "ingle/loads.json").exists()


# --- in memory and out of it ---------------------------------------------------------------------------------------


def test_unload_ends_the_worker_and_a_question_brings_the_model_back(real: support.Instance) -> None:
    assert load(real) == f"{status_of(real)['model']['info']['name']} is loaded\n"
    worker = worker_of(real)
    assert real.run("ingle", "unload").stdout == "the model is unloaded\n"
    worker.wait(20)
    assert "as its user asked" in real.run("ingle", "status").stdout
    assert real.run("ingle", "unload").stdout == "no model was loaded\n"
    assert real.run("ask", "Say yes.", timeout=120).returncode == 0
    assert status_of(real)["model"]["state"] == "ready"


def test_a_model_that_answers_is_not_unloaded(real: support.Instance) -> None:
    question = {"messages": [{"role": "user", "content": "Count to a thousand."}], "max_tokens": 2000}
    with real.stream("/ingle/ask", question) as stream:
        events = iter(stream)
        while next(events)["type"] != "delta":
            pass
        refused = real.run("ingle", "unload")
        assert refused.returncode == 3
        assert "the model answers" in refused.stderr
        assert status_of(real)["model"]["state"] == "ready"


def test_without_preload_the_first_question_loads_the_model(real: support.Instance) -> None:
    real.configure("[engine]\npreload = false")
    real.start()
    assert status_of(real)["model"]["state"] == "none"
    assert real.run("ask", "Say yes.", timeout=120).returncode == 0
    assert status_of(real)["model"]["state"] == "ready"


def test_a_model_that_is_to_stay_for_ever_is_not_counted_down(real: support.Instance) -> None:
    real.configure("[engine]\nkeep_alive = -1")
    load(real)
    assert status_of(real)["model"]["state"] == "ready"


# --- a machine with a GPU ------------------------------------------------------------------------------------------


def test_a_gpu_that_this_build_cannot_use_is_told_with_the_command(real: support.Instance, driver: StandIn) -> None:
    driver.says(gpu("NVIDIA GeForce RTX 3050"))
    real.env |= driver.env
    load(real)
    advice = status_of(real)["gpu"]["advice"]
    if "cuda" in advice:
        pytest.skip("llama.cpp is built for CUDA here")
    assert "the NVIDIA GeForce RTX 3050 is not used: this llama-cpp-python is built without CUDA." in advice
    shown = real.run("ingle", "status").stdout
    assert re.search(rf"{re.escape(str(Path(sys.executable).parent))}/python[\d.]* -m pip install", shown)
    assert "/whl/cu124 'llama-cpp-python>=0.3.36'" in shown


def test_a_driver_that_differs_from_its_library_is_told(real: support.Instance, driver: StandIn) -> None:
    driver.says(init=18)
    real.env |= driver.env
    load(real)
    assert "Reboot" in real.run("ingle", "status").stdout


def test_what_llama_cpp_sees_is_in_the_status(real: support.Instance) -> None:
    load(real)
    kinds = {device["kind"] for device in status_of(real)["gpu"]["devices"]}
    assert "cpu" in kinds


# --- one model to complete, one to answer --------------------------------------------------------------------------

HOLE = {"input_prefix": "def add(a, b):\n    return ", "input_suffix": "\n", "n_predict": 4, "temperature": 0}
_NARROW = """
import psutil
from types import SimpleNamespace
total = 8 << 30
psutil.virtual_memory = lambda: SimpleNamespace(total=total, available=600 << 20)
"""


@pytest.fixture
def pair(starter: Path) -> Iterator[support.Instance]:
    """An instance that completes with one model and answers with another; the starter and its copy are two."""
    made = support.new_instance(INGLE_MODEL=str(support.fim_model()))
    made.configure(f'[engine]\nchat_model = "{starter}"\nfim_tokens = 512\n')
    yield made
    made.close()


def workers_of(instance: support.Instance) -> list[psutil.Process]:
    return [
        child for child in psutil.Process(instance.pid).children() if "ingle_daemon.engine.worker" in child.cmdline()
    ]


def test_two_models_that_fit_are_both_loaded_and_each_does_its_part(pair: support.Instance) -> None:
    load(pair)
    wait_until(lambda: (status_of(pair)["chat"] or {}).get("state") == "ready")
    assert len(workers_of(pair)) == 2
    assert status_of(pair)["chat"]["together"] is True
    done = pair.run("ask", "Say yes.", timeout=120)
    assert done.returncode == 0, done.stderr
    chat, code = status_of(pair)["chat"]["info"], status_of(pair)["model"]["info"]
    assert chat["name"] in done.stderr or chat["name"] != code["name"]
    assert pair.call("POST", "/infill", HOLE)["timings"]["predicted_n"] >= 1
    assert len(workers_of(pair)) == 2
    assert f"questions {chat['name']} (ready)" in pair.run("ingle", "status").stdout


def test_two_models_that_do_not_fit_take_turns(pair: support.Instance) -> None:
    (pair.root / "sitecustomize.py").write_text(_NARROW)
    pair.env["PYTHONPATH"] = f"{pair.root}:{pair.env.get('PYTHONPATH', '')}"
    assert pair.call("POST", "/infill", HOLE)["timings"]["predicted_n"] >= 1
    done = pair.run("ask", "Say yes.", timeout=120)
    assert done.returncode == 0, done.stderr
    status = status_of(pair)
    assert (status["model"]["state"], status["chat"]["state"]) == ("idle", "ready")
    assert len(workers_of(pair)) == 1
    assert "both models do not fit: one at a time is loaded" in pair.run("ingle", "status").stdout
    assert pair.call("POST", "/infill", HOLE)["timings"]["predicted_n"] >= 1
    status = status_of(pair)
    assert (status["model"]["state"], status["chat"]["state"]) == ("ready", "idle")
    assert len(workers_of(pair)) == 1


# --- on battery ----------------------------------------------------------------------------------------------------

_BATTERY = """
import psutil
from pathlib import Path
from types import SimpleNamespace
plugged = Path(__file__).with_name("plugged")
psutil.sensors_battery = lambda: SimpleNamespace(power_plugged=plugged.exists())
"""


@pytest.fixture
def laptop(real: support.Instance) -> Path:
    """`real` on battery, until the file exists that this is the path of."""
    (real.root / "sitecustomize.py").write_text(_BATTERY)
    real.env["PYTHONPATH"] = f"{real.root}:{real.env.get('PYTHONPATH', '')}"
    return real.root / "plugged"


def test_on_battery_the_status_says_that_it_saves(real: support.Instance, laptop: Path) -> None:
    load(real)
    wait_until(lambda: status_of(real)["power"] == {"on_battery": True, "saving": True})
    assert "on battery" in real.run("ingle", "status").stdout
    assert real.run("ask", "Say yes.", timeout=120).returncode == 0


def test_who_wants_no_saving_on_battery_has_none(real: support.Instance, laptop: Path) -> None:
    real.configure('[power]\non_battery = "same"')
    load(real)
    wait_until(lambda: status_of(real)["power"] == {"on_battery": True, "saving": False})
    assert "battery" not in real.run("ingle", "status").stdout


def test_threads_can_be_fewer_and_never_none(starter: Path) -> None:
    import llama_cpp as llama

    runner = Runner(RunnerOptions(str(starter), 256, 2, 0, "auto", 64, 2))
    for wanted, threads in ((1, 1), (0, 1), (2, 2)):
        runner.use_threads(wanted)
        assert llama.llama_n_threads(runner._context) == llama.llama_n_threads_batch(runner._context) == threads
    runner.close()
