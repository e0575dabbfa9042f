"""The shipped catalog, and the choices made from it."""

from __future__ import annotations

import pytest

from ingle_daemon.errors import UsageError
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Entry, Wheel

GB = 10**9
CATALOG = catalog.load()


def test_the_starter_comes_from_a_package_and_is_pinned() -> None:
    starter = CATALOG.starter
    assert starter.name == "smollm2-135m-instruct"
    assert starter.filename == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert starter.license == "Apache-2.0"
    assert isinstance(starter.source, Wheel)
    assert (starter.size_bytes, starter.download_bytes) == (98_362_432, 92_871_040)


@pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.name)
def test_every_entry_can_be_named_stored_and_paid_for(entry: Entry) -> None:
    assert CATALOG.get(entry.name) is entry
    assert entry.filename.endswith(".gguf")
    assert "/" not in entry.filename
    assert entry.memory_bytes > entry.size_bytes
    assert bool(entry.sha256) == isinstance(entry.source, Wheel)


def test_names_are_unique() -> None:
    assert len({entry.name for entry in CATALOG.entries}) == len(CATALOG.entries)


def test_a_wrong_name_is_answered_with_close_ones() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.get("Qwen2.5-coder-1.5")
    assert "qwen2.5-coder-1.5b-instruct" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.get("zzz")
    assert all(entry.name in caught.value.hint for entry in CATALOG.entries)


@pytest.mark.parametrize(
    ("memory", "name"),
    [
        (0, "smollm2-135m-instruct"),
        (1 * GB, "qwen2.5-coder-0.5b-instruct"),
        (2 * GB, "qwen2.5-coder-1.5b-instruct"),
        (4 * GB, "qwen2.5-coder-1.5b-instruct"),
    ],
)
def test_the_best_model_that_fits_is_recommended(memory: int, name: str) -> None:
    assert CATALOG.recommend(memory).name == name


def test_a_restricted_licence_is_never_recommended() -> None:
    assert all(CATALOG.recommend(memory * GB // 2).open for memory in range(50))
