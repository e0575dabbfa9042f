"""The guide to models: the catalog searched, a model described and fitted by store, catalog and machine."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_files
from fit_tables import GIB, machine
from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.models import catalog
from ingle_daemon.models.gpu import Gpu, Process
from ingle_daemon.models.guide import Guide, Supposed, _device, this_machine
from ingle_daemon.models.shape import Architecture
from ingle_daemon.models.store import Store

TINY = Architecture(
    name="qwen2",
    layers=2,
    embedding=64,
    feed_forward=128,
    heads=2,
    kv_heads=1,
    head_length=32,
    vocabulary=60,
    context=4096,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def guide(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Guide(store, lambda: machine(4))


def install(store: Store, name: str) -> None:
    with store.staging() as staging:
        staged = gguf_files.write(staging / "model.gguf", TINY, "Q8_0")
        store.adopt(name, staged, file="model.gguf", sha256="0" * 64, source="a test")


def test_every_word_narrows_the_search(guide: Guide) -> None:
    assert len(guide.search()) == len(catalog.shipped().entries)
    found = {model["name"] for model in guide.search("CODER apache chat")}
    assert "qwen2.5-coder-7b-instruct" in found
    assert "qwen2.5-coder-7b" not in found
    assert guide.search("nothing has this") == []


def test_a_search_says_what_is_installed(guide: Guide, store: Store) -> None:
    install(store, "qwen3-8b")
    assert {model["name"] for model in guide.search() if model["installed"]} == {"qwen3-8b"}


def test_a_model_that_is_not_here_is_fitted_by_the_catalog(guide: Guide) -> None:
    info = guide.info("qwen2.5-coder-7b-instruct:q2_k", Supposed(vram=8 * GIB))
    assert (info["name"], info["quant"], info["installed"]) == ("qwen2.5-coder-7b-instruct:Q2_K", "Q2_K", None)
    assert info["fit"]["full"]
    assert info["fit"]["gpu_bytes"] <= info["machine"]["usable_gpu_bytes"]
    assert [quant["fit"]["full"] for quant in info["quants"]] == [False, True, True, True, True, True, True]


def test_a_model_that_is_here_is_fitted_by_its_own_header(guide: Guide, store: Store) -> None:
    install(store, "qwen3-8b")
    info = guide.info("qwen3-8b", Supposed())
    assert info["installed"]["source"] == "a test"
    assert info["context"] == TINY.context
    assert info["fit"]["gpu_layers"] == TINY.layers + 1


def test_an_installed_quantization_is_found_by_its_name_in_any_case(guide: Guide, store: Store) -> None:
    install(store, "qwen3-8b:Q2_K")
    assert guide.info("qwen3-8b:q2_k", Supposed())["installed"]
    assert guide.info("qwen3-8b", Supposed())["installed"] is None
    assert {model["name"] for model in guide.search() if model["installed"]} == {"qwen3-8b"}


def test_a_model_that_only_the_store_knows_is_described_as_far_as_it_goes(guide: Guide, store: Store) -> None:
    install(store, "qwen3-8b:mine")
    info = guide.info("qwen3-8b:mine", Supposed())
    assert (info["title"], info["quants"], info["fit"]["full"]) == ("qwen3-8b:mine", [], True)


def test_a_damaged_model_is_told(guide: Guide, store: Store) -> None:
    install(store, "mine")
    model = store.get("mine")
    assert model
    model.path.write_bytes(b"x" * model.size_bytes)
    with pytest.raises(NoModel, match="not a GGUF"):
        guide.info("mine", Supposed())


def test_a_name_that_nothing_has_is_answered_with_close_ones(guide: Guide) -> None:
    with pytest.raises(UsageError, match="no model 'qwen3-8'"):
        guide.info("qwen3-8", Supposed())


def test_another_machine_may_be_supposed(guide: Guide) -> None:
    def first(supposed: Supposed) -> str:
        name: str = guide.recommended(supposed)["picks"][0]["name"]
        return name

    assert first(Supposed()) == "granite-4.0-micro"
    assert first(Supposed(vram=24 * GIB)) == "qwen3-coder-30b-a3b-instruct"
    assert first(Supposed(vram=0)) == "qwen2.5-coder-1.5b-instruct"
    assert first(Supposed(vram=0, ram=GIB)) != first(Supposed(vram=0))
    with pytest.raises(UsageError, match="holds nothing"):
        guide.recommended(Supposed(context=1))


def test_this_machine_is_read_as_it_is() -> None:
    here = this_machine()
    assert 0 < here.ram_free_bytes <= here.ram_total_bytes
    assert here.cores >= 1


def test_what_our_own_workers_hold_of_a_gpu_counts_as_free() -> None:
    used = (Process(7, 2 * GIB), Process(8, GIB), Process(9, None))
    card = Gpu(index=0, name="GPU", uuid="u", total_bytes=8 * GIB, free_bytes=4 * GIB, processes=used)
    assert _device(card, frozenset((7, 9))).free_bytes == 6 * GIB
    assert _device(card, frozenset()).free_bytes == 4 * GIB
