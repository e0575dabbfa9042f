"""How a load steps down when it fails for memory, and what is remembered of it, with a planner that halves contexts."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingle_daemon.backends.loading import Loading
from ingle_daemon.backends.settled import Settled
from ingle_daemon.engine import frames
from ingle_daemon.errors import NoModel
from ingle_daemon.models.fit import Device, Machine, Needs, Plan, Wish
from ingle_daemon.models.shape import Shape
from ingle_daemon.protocol import Device as Seen

GIB = 1 << 30
HELLO = frames.Hello((Seen("CPU", "a processor", "cpu", "cpu", 1, 2),), ("cpu",), "0.3.36")
GPU = Device(name="RTX 3050", kind="cuda", free_bytes=3 * GIB, total_bytes=4 * GIB)
MACHINE = Machine(devices=(GPU,), ram_free_bytes=8 * GIB, ram_total_bytes=16 * GIB, cores=4)
SHAPE = Shape(
    architecture="llama",
    layers=4,
    embedding=64,
    feed_forward=128,
    heads=4,
    kv_heads=(4, 4, 4, 4),
    key_length=16,
    value_length=16,
    vocabulary=100,
    context=8192,
    layer_bytes=(1, 1, 1, 1),
    output_bytes=1,
    embedding_bytes=1,
)


class Halving:
    """A planner that takes the wish, a quarter of it on a full GPU, and then halves it, down to 1,024 tokens."""

    def plan(self, shape: Shape, machine: Machine, wish: Wish) -> Plan:
        assert shape is SHAPE
        full = any(device.free_bytes < GIB for device in machine.devices)
        return self._with(wish.context // 4 if full else wish.context, wish)

    def steps_down(self, plan: Plan, shape: Shape, machine: Machine, wish: Wish) -> Plan | None:
        return self._with(plan.context // 2, wish) if plan.context > 1024 else None

    def _with(self, context: int, wish: Wish) -> Plan:
        return Plan(
            gpu_layers=5 if wish.gpu_layers < 0 else wish.gpu_layers,
            context=context,
            kv_type="f16",
            batch=wish.batch,
            flash_attention=True,
            full=True,
            needs=Needs(weights_gpu=GIB, kv_gpu=context * 1000),
        )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF and what follows")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "loads.json"


def loading(kept: Path, machine: Machine = MACHINE) -> Loading:
    return Loading(Settled(kept), lambda _: machine, lambda _: SHAPE, Halving())


def wanted(model: Path, **changes: Any) -> frames.Load:
    load = frames.Load("m", str(model), 8192, 1, -1, "auto", 256, True, "auto", 0, 4.0, "", "/snapshots")
    return msgspec.structs.replace(load, **changes)


def settle(kept: Path, model: Path, steps: int = 2) -> None:
    """A start at which `steps` loads fail."""
    first = loading(kept)
    first.planned(wanted(model), HELLO)
    for _ in range(steps):
        assert first.step_down()
        first.planned(wanted(model), HELLO)
    first.succeeded()


def test_a_model_is_loaded_as_planned(kept: Path, model: Path) -> None:
    made = loading(kept)
    load = made.planned(wanted(model), HELLO)
    assert (load.context, load.gpu_layers, load.kv_type, load.batch) == (8192, 5, "f16", 256)
    assert (load.path, load.snapshots) == (str(model), "/snapshots")
    made.succeeded()
    assert made.status()["steps"] == []
    assert not kept.exists()  # nothing to remember


def test_a_load_that_fails_for_memory_goes_down_one_step_at_a_time_to_the_last(kept: Path, model: Path) -> None:
    made = loading(kept)
    contexts = [made.planned(wanted(model), HELLO).context]
    while made.step_down():
        contexts.append(made.planned(wanted(model), HELLO).context)
    assert contexts == [8192, 4096, 2048, 1024]
    assert made.status()["steps"] == ["context 8192 → 4096", "context 4096 → 2048", "context 2048 → 1024"]


def test_another_load_begins_with_the_plan(kept: Path, model: Path) -> None:
    made = loading(kept)
    made.planned(wanted(model), HELLO)
    made.step_down()
    assert made.planned(wanted(model), HELLO).context == 4096
    made.begin()
    assert not made.step_down()  # before anything was tried
    assert made.planned(wanted(model), HELLO).context == 8192
    assert made.status()["steps"] == []


def test_what_loaded_at_last_is_where_the_next_start_begins_and_it_says_so(kept: Path, model: Path) -> None:
    settle(kept, model)
    later = loading(kept)
    assert later.planned(wanted(model), HELLO).context == 2048
    assert later.status()["steps"] == ["context 8192 → 2048, as the last time"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_what_was_remembered_and_fails_too_steps_down_from_there(kept: Path, model: Path) -> None:
    settle(kept, model)
    later = loading(kept)
    later.planned(wanted(model), HELLO)
    assert later.step_down()
    assert later.planned(wanted(model), HELLO).context == 1024
    later.succeeded()
    assert loading(kept).planned(wanted(model), HELLO).context == 1024


@pytest.mark.parametrize(
    "machine",
    [
        msgspec.structs.replace(MACHINE, devices=(GPU, GPU)),
        msgspec.structs.replace(MACHINE, devices=(msgspec.structs.replace(GPU, name="RTX 4090"),)),
        msgspec.structs.replace(MACHINE, ram_total_bytes=32 * GIB),
        msgspec.structs.replace(MACHINE, devices=(msgspec.structs.replace(GPU, free_bytes=4 * GIB),)),  # freed since
    ],
    ids=["a GPU more", "another GPU", "more memory", "more of it free"],
)
def test_on_another_machine_it_is_tried_again(kept: Path, model: Path, machine: Machine) -> None:
    settle(kept, model)
    assert loading(kept, machine).planned(wanted(model), HELLO).context == 8192


def test_with_other_settings_another_model_or_another_llama_cpp_it_is_tried_again(kept: Path, model: Path) -> None:
    settle(kept, model)
    assert loading(kept).planned(wanted(model, batch=128), HELLO).context == 8192
    newer = msgspec.structs.replace(HELLO, version="0.3.40")
    assert loading(kept).planned(wanted(model), newer).context == 8192
    model.write_bytes(b"GGUF and something else")
    assert loading(kept).planned(wanted(model), HELLO).context == 8192


def test_a_plan_that_asks_for_less_than_what_failed_is_tried(kept: Path, model: Path) -> None:
    settle(kept, model, steps=1)
    full = msgspec.structs.replace(MACHINE, devices=(msgspec.structs.replace(GPU, free_bytes=GIB // 2),))
    made = loading(kept, full)
    assert made.planned(wanted(model), HELLO).context == 2048
    assert made.status()["steps"] == []


@pytest.mark.parametrize("damage", [b"", b"{", b'[{"case": 1}]', b"\xff\xfe"])
def test_a_damaged_file_holds_nothing_and_is_written_anew(kept: Path, model: Path, damage: bytes) -> None:
    kept.write_bytes(damage)
    assert loading(kept).planned(wanted(model), HELLO).context == 8192
    settle(kept, model)
    assert loading(kept).planned(wanted(model), HELLO).context == 2048


def test_a_folder_that_cannot_be_written_to_costs_the_memory_only(tmp_path: Path, model: Path) -> None:
    settle(tmp_path / "gone" / "loads.json", model)


def test_only_the_newest_outcomes_are_kept(kept: Path, tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(b"GGUF %d" % number)
        settle(kept, path, steps=1)
    assert len(msgspec.json.decode(kept.read_bytes())) == 32


def test_a_file_that_cannot_be_understood_is_left_to_llama_cpp(kept: Path, model: Path) -> None:
    def damaged(_: Path) -> Shape:
        raise NoModel("it is damaged")

    made = Loading(Settled(kept), lambda _: MACHINE, damaged, Halving())
    assert made.planned(wanted(model), HELLO) == wanted(model)
    assert not made.step_down()
    assert made.status() == {}
