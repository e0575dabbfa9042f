"""Which model is recommended: on every size of GPU, without one, and what else is named beside it."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from fit_tables import GIB, machine
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Catalog
from ingle_daemon.models.recommend import AS_ABLE, WORTH_NAMING, Pick, recommend

CATALOG = catalog.shipped()


def picks(vram: int, ram: int = 32, known: Catalog = CATALOG) -> dict[str, Pick]:
    return {pick.kind: pick for pick in recommend(known, machine(vram, ram))}


@pytest.mark.parametrize(
    ("vram", "name"),
    [
        (0, "qwen2.5-coder-1.5b-instruct"),
        (4, "granite-4.0-micro"),
        (6, "qwen2.5-coder-7b-instruct"),
        (8, "qwen2.5-coder-7b-instruct"),
        (12, "qwen2.5-coder-14b-instruct"),
        (16, "qwen2.5-coder-14b-instruct"),
        (24, "qwen3-coder-30b-a3b-instruct"),
    ],
)
def test_the_first_pick_of_each_size(vram: int, name: str) -> None:
    assert picks(vram)["first"].entry.name == name


@pytest.mark.parametrize("vram", range(1, 49))
def test_a_pick_is_whole_on_the_gpu_or_quick_without_it_and_asks_for_no_consent(vram: int) -> None:
    first = picks(vram)["first"]
    assert first.plan
    assert first.plan.fits
    assert first.plan.full or first.entry.size_bytes < 1.2e9
    assert first.entry.open
    assert len(first.entry.roles) == 2


def test_more_memory_is_never_answered_with_a_less_able_model() -> None:
    sizes = [picks(vram)["first"].entry.parameters for vram in range(49)]
    assert all(after >= AS_ABLE * before for before, after in pairwise(sizes))


def test_where_nothing_fits_there_is_the_starter() -> None:
    pick = picks(0, ram=0)["first"]
    assert pick.entry == CATALOG.starter
    assert pick.why


def test_a_small_gpu_is_no_worse_than_none() -> None:
    assert picks(1)["first"].entry == picks(0)["first"].entry


def test_a_model_under_conditions_is_named_apart_with_its_licence() -> None:
    named = picks(16)
    restricted = named["restricted"]
    assert not restricted.entry.open
    assert restricted.entry.parameters >= WORTH_NAMING * named["first"].entry.parameters
    assert restricted.entry.license_url in restricted.why[-1]


def test_a_better_model_for_one_thing_is_named_beside_the_one_for_both() -> None:
    without = tuple(e for e in CATALOG.entries if len(e.roles) == 1 or e.parameters < 2e9)
    named = picks(12, known=msgspec.structs.replace(CATALOG, entries=without))
    assert named["first"].entry.name == "qwen2.5-coder-1.5b-instruct"
    assert named["chat"].entry.name == "qwen3-14b"
    assert "not trained to complete" in named["chat"].why[0]


def test_of_two_as_able_the_quicker_is_taken_and_it_is_said_why() -> None:
    pick = picks(24)["first"]
    assert pick.entry.parameters < CATALOG.get("qwen2.5-coder-32b-instruct").parameters
    assert "It uses 3 of its 31 billion parameters for a token." in pick.why


def test_a_more_exact_file_that_fits_too_is_named() -> None:
    assert any("qwen2.5-coder-7b-instruct:Q6_K would fit as well" in sentence for sentence in picks(8)["first"].why)
    assert not any("as well" in sentence for sentence in picks(6)["first"].why)


def test_little_ram_is_told_apart_from_much() -> None:
    assert recommend(CATALOG, machine(0, 1))[0].entry.size_bytes < GIB / 2
