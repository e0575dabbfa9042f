"""The fit planner: golden tables, the rules one by one, and what holds for every model on every machine."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fit_tables
import gguf_files
from fit_tables import GIB, machine
from ingle_daemon.models import catalog, gguf
from ingle_daemon.models.catalog import Entry
from ingle_daemon.models.fit import CHAT_FLOOR, COMPLETION_FLOOR, SMALLEST_BATCH, Plan, Wish, plan, steps_down
from ingle_daemon.models.memory import Device, Machine, needs_of, room
from ingle_daemon.models.shape import Shape, estimated

CATALOG = catalog.shipped()
KNOWN = [entry for entry in CATALOG.entries if entry.architecture]


def shape_of(name: str) -> Shape:
    shape = CATALOG.get(name).shape
    assert shape
    return shape


def on_gpu(free: int, total: int = 0, *, ram: int = 64 * GIB, kind: str = "cuda", count: int = 1) -> Machine:
    card = Device(name="GPU", kind=kind, free_bytes=free, total_bytes=total or free)
    return Machine(devices=(card,) * count, ram_free_bytes=ram, ram_total_bytes=ram, cores=8)


# --- tables ------------------------------------------------------------------------------------------------


def test_the_plans_of_every_model_at_seven_sizes_are_the_golden_ones() -> None:
    golden = fit_tables.GOLDEN.read_text(encoding="utf-8").splitlines()
    changed = [
        f"- {was}\n+ {now}" for was, now in zip(golden, fit_tables.golden().splitlines(), strict=True) if was != now
    ]
    assert not changed, "\n".join([*changed, "`python tests/fit_tables.py` takes them over"])


def test_the_documentation_has_the_tables_of_today() -> None:
    assert fit_tables.PAGE.read_text(encoding="utf-8") == fit_tables.documented(), "`python tests/fit_tables.py`"


def test_the_models_of_the_mission_fit_four_gigabytes() -> None:
    for name in ("qwen2.5-3b-instruct", "llama-3.2-3b-instruct", "phi-4-mini-instruct", "gemma-3-4b-it"):
        found = fit_tables.planned(CATALOG.get(name), 4)
        assert (found.full, found.context) == (True, 8192), name
    split = fit_tables.planned(CATALOG.get("qwen2.5-coder-7b-instruct"), 4, ram=8)
    assert (split.full, split.fits) == (False, True)
    assert split.gpu_layers > 14, "half of it"


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.name)
def test_the_estimate_plans_as_the_header_does(entry: Entry, tmp_path: Path) -> None:
    """A file with the real shape says within 3 % what the catalog does, and the plan is the same, or a layer away."""
    assert entry.architecture
    path = gguf_files.write(tmp_path / "model.gguf", entry.architecture, entry.quant.name)
    exact, estimate = gguf.check(path).shape, entry.shape
    assert exact
    assert estimate
    sizes = ("stored_bytes", "output_bytes", "embedding_bytes")
    assert [getattr(estimate, size) for size in sizes] == pytest.approx([getattr(exact, s) for s in sizes], rel=0.03)
    for vram in fit_tables.SIZES:
        here = machine(vram)
        found, expected = plan(estimate, here, Wish()), plan(exact, here, Wish())
        assert abs(found.gpu_layers - expected.gpu_layers) <= 1
        assert (found.full, found.kv_type, found.fits) == (expected.full, expected.kv_type, expected.fits)
        real = needs_of(
            exact, here, found.gpu_layers, found.context, found.kv_type, found.batch, flash=found.flash_attention
        )
        # the last layers of a K_M file are larger than the others, and a split takes them first
        assert (found.needs.gpu, found.needs.ram) == pytest.approx((real.gpu, real.ram), rel=0.05)


# --- the rules ---------------------------------------------------------------------------------------------

SEVEN = shape_of("qwen3-8b")


def at(megabytes: int, **wish: int | str) -> Plan:
    return plan(SEVEN, on_gpu(megabytes * 10**6), msgspec.convert(wish, Wish))


def test_memory_is_given_up_in_the_documented_order() -> None:
    seen: list[tuple[bool, ...]] = []
    for megabytes in range(9000, 600, -10):
        found = at(megabytes)
        kind = (found.full, found.kv_type == "f16", found.context == 8192, found.batch == 256, found.gpu_layers > 0)
        if not seen or seen[-1] != kind:
            seen.append(kind)
    assert seen == [
        (True, True, True, True, True),
        (True, False, True, True, True),
        (True, False, False, True, True),
        (True, False, False, False, True),
        (False, False, True, True, True),
        (False, True, True, True, False),
    ]


def test_a_completion_model_may_have_a_shorter_context() -> None:
    shortest = {chat: min(at(mb, chat=chat).context for mb in range(5000, 9000, 10)) for chat in (True, False)}
    assert shortest == {True: CHAT_FLOOR, False: COMPLETION_FLOOR}


def test_a_context_wished_below_the_floor_is_taken() -> None:
    assert at(9000, context=1000).context == 1000


def test_no_context_is_longer_than_the_models() -> None:
    found = plan(shape_of("smollm2-135m-instruct"), machine(24), Wish(context=100_000))
    assert found.context == 8192


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_kv_type_that_is_set_stays(kv_type: str) -> None:
    assert {at(mb, kv_type=kv_type).kv_type for mb in range(1000, 9000, 100)} == {kv_type}


@pytest.mark.parametrize(
    ("quant", "exact", "kv_type"),
    [("Q4_K_M", False, "f16"), ("Q4_K_M", True, "q8_0"), ("Q8_0", False, "q8_0"), ("F16", False, "f16")],
)
def test_on_a_cpu_the_cache_is_q8_0_where_that_makes_answers_exact(quant: str, exact: bool, kv_type: str) -> None:
    architecture = KNOWN[0].architecture
    assert architecture
    shape = estimated(architecture, quant, 10**9)
    assert plan(shape, on_gpu(0), Wish(exact=exact)).kv_type == kv_type


def test_on_a_cpu_a_long_context_comes_before_an_f16_cache() -> None:
    rams = [plan(SEVEN, on_gpu(0, ram=mb * 10**6), Wish()) for mb in range(8_000, 5_000, -50)]
    decided = list(dict.fromkeys((found.context == 8192, found.kv_type) for found in rams))
    assert decided == [(True, "f16"), (True, "q8_0"), (False, "q8_0")]


def test_layers_that_are_set_are_taken_where_they_fit() -> None:
    assert at(9000, gpu_layers=10).gpu_layers == 10
    assert at(9000, gpu_layers=999).full
    assert 0 < at(3000, gpu_layers=30).gpu_layers < 30
    assert at(9000, gpu_layers=0).gpu_layers == 0
    assert "Nothing is to go to the GPU" in at(9000, gpu_layers=0).why[0]


def test_what_other_programs_hold_is_not_planned_with() -> None:
    empty, used = on_gpu(8 * GIB), on_gpu(5 * GIB, 8 * GIB)
    assert plan(SEVEN, empty, Wish()).full
    assert not plan(SEVEN, used, Wish()).full


def test_several_gpus_are_filled_together_and_pay_for_each() -> None:
    large = shape_of("qwen2.5-coder-14b-instruct")
    assert not plan(large, on_gpu(6 * GIB), Wish()).full
    pair = plan(large, on_gpu(8 * GIB, count=2), Wish())
    assert pair.full
    assert pair.needs.driver_gpu == 2 * plan(large, machine(16), Wish()).needs.driver_gpu


def test_memory_that_gpu_and_cpu_share_is_counted_once() -> None:
    metal = on_gpu(12 * GIB, ram=8 * GIB, kind="metal")
    card = Device(name="Iris", kind="vulkan", free_bytes=12 * GIB, total_bytes=12 * GIB, shared=True)
    for shared in (metal, Machine(devices=(card,), ram_free_bytes=8 * GIB, ram_total_bytes=8 * GIB)):
        assert not plan(shape_of("qwen2.5-coder-14b-instruct"), shared, Wish()).fits


def test_what_fits_nowhere_is_told_so() -> None:
    found = plan(shape_of("llama-3.3-70b-instruct"), machine(4, ram=16), Wish())
    assert not found.fits
    assert "more than is free" in found.why[-1]


def test_every_decision_is_told() -> None:
    assert [at(9000).why] == [("The whole model is on the GPU: it takes 6.7 GB of the 8.6 GB that may be used.",)]
    split = " ".join(at(4000).why)
    assert "of 37 layers are on the GPU" in split
    assert "several times slower" in split
    shorter = next(found for mb in range(9000, 5000, -10) if (found := at(mb)).batch < 256)
    assert [sentence.split()[0:2] for sentence in shorter.why] == [
        ["The", "whole"],
        ["The", "KV"],
        ["The", "context"],
        ["Prompts", "are"],
    ]


# --- after a load has failed ---------------------------------------------------------------------------------


def test_each_step_down_is_the_documented_one() -> None:
    here, wish = on_gpu(9 * 10**9), Wish()
    taken = [plan(SEVEN, here, wish)]
    while (down := steps_down(taken[-1], SEVEN, here, wish)) is not None:
        taken.append(down)
    assert [(step.kv_type, step.context, step.batch, step.gpu_layers) for step in taken] == [
        ("f16", 8192, 256, 37),
        ("q8_0", 8192, 256, 37),
        ("q8_0", 4096, 256, 37),
        ("q8_0", 4096, 128, 37),
        ("q8_0", 4096, 64, 37),
        ("q8_0", 4096, 64, 27),
        ("q8_0", 4096, 64, 20),
        ("q8_0", 4096, 64, 15),
        ("q8_0", 4096, 64, 11),
        ("q8_0", 4096, 64, 8),
        ("q8_0", 4096, 64, 6),
        ("q8_0", 4096, 64, 4),
        ("q8_0", 4096, 64, 3),
        ("q8_0", 4096, 64, 2),
        ("f16", 8192, 256, 0),
        ("q8_0", 8192, 256, 0),
        ("q8_0", 4096, 256, 0),
        ("q8_0", 4096, 128, 0),
        ("q8_0", 4096, 64, 0),
    ]
    assert all(step.why == (step.why[0],) and "failed for memory" in step.why[0] for step in taken[1:])


def test_a_step_leaves_alone_what_is_set() -> None:
    here, wish = on_gpu(9 * 10**9), Wish(kv_type="f16", context=2048)
    down = steps_down(plan(SEVEN, here, wish), SEVEN, here, wish)
    assert down
    assert (down.kv_type, down.context, down.batch) == ("f16", 2048, 128)


# --- what always holds -----------------------------------------------------------------------------------------

entries = st.sampled_from(KNOWN).flatmap(
    lambda entry: st.sampled_from([entry.quantized(quant.name) for quant in entry.quants])
)
gpus = st.integers(0, 40 * 1024).map(lambda mib: mib * 2**20)
wishes = st.builds(
    Wish,
    context=st.integers(64, 40_000),
    kv_type=st.sampled_from(["auto", "f16", "q8_0"]),
    batch=st.sampled_from([64, 128, 256, 512]),
    chat=st.booleans(),
)


def rank(found: Plan) -> tuple[int, ...]:
    """How good a plan is."""
    return (found.fits, found.full, found.gpu_layers, found.context, found.kv_type == "f16", found.batch)


@given(entry=entries, free=gpus, ram=gpus, wish=wishes)
def test_no_plan_takes_more_than_may_be_used_nor_less_than_is_of_use(
    entry: Entry, free: int, ram: int, wish: Wish
) -> None:
    assert entry.shape
    here = on_gpu(free, ram=ram)
    found = plan(entry.shape, here, wish)
    assert found.needs.gpu <= room(here).gpu or not found.gpu_layers
    assert found.needs.ram <= room(here).ram or not found.fits
    assert min(wish.floor, entry.shape.context) <= found.context <= wish.context
    assert min(SMALLEST_BATCH, wish.context) <= found.batch <= wish.batch
    assert wish.kv_type in ("auto", found.kv_type)
    assert found.why


@given(entry=entries, free=st.tuples(gpus, gpus).map(sorted), wish=wishes)
def test_more_memory_is_never_worse(entry: Entry, free: list[int], wish: Wish) -> None:
    assert entry.shape
    less, more = (plan(entry.shape, on_gpu(size, 40 * GIB), wish) for size in free)
    assert rank(less) <= rank(more)


@given(entry=st.sampled_from(KNOWN), free=gpus, wish=wishes)
def test_a_smaller_quantization_is_never_worse(entry: Entry, free: int, wish: Wish) -> None:
    shapes = [entry.quantized(quant.name).shape for quant in entry.quants]
    ranks = [rank(plan(shape, on_gpu(free), wish)) for shape in shapes if shape]
    assert all(larger <= smaller for larger, smaller in pairwise(ranks))


@given(entry=entries, free=gpus, wish=wishes)
@settings(max_examples=50)
def test_steps_down_come_to_an_end_on_the_cpu_and_take_less_each_time(entry: Entry, free: int, wish: Wish) -> None:
    assert entry.shape
    here = on_gpu(free)
    step = plan(entry.shape, here, wish)
    for _ in range(40):
        down = steps_down(step, entry.shape, here, wish)
        if down is None:
            assert step.gpu_layers == 0
            return
        assert down.gpu_layers < step.gpu_layers or down.needs.gpu + down.needs.ram < step.needs.gpu + step.needs.ram
        step = down
    raise AssertionError("it goes on and on")
