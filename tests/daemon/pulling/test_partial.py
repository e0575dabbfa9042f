"""Interrupted downloads: how long they stay, how many of them, and whose they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingle_daemon.errors import NoModel
from ingle_daemon.models.partial import MOST, WEEK_S, Partials

NOW = 1_800_000_000.0


@pytest.fixture
def partials(tmp_path: Path) -> Partials:
    return Partials(tmp_path / "models", clock=lambda: NOW)


def interrupted(partials: Partials, key: str, *, age_s: float = 0.0, model: str = "") -> Path:
    """A download of which three bytes came, so long ago."""
    with partials.open(key, model or key, 10) as part:
        part.write_bytes(b"abc")
    os.utime(part, (NOW - age_s, NOW - age_s))
    return part


def models(partials: Partials) -> list[str]:
    return [partial.model for partial in partials.all()]


def test_nothing_is_made_before_the_first(partials: Partials, tmp_path: Path) -> None:
    assert partials.all() == []
    assert partials.drop("one") == 0
    assert list(tmp_path.iterdir()) == []


def test_what_came_is_there_the_next_time_for_the_same_file_alone(partials: Partials) -> None:
    interrupted(partials, "one")
    with partials.open("one", "one", 10) as part:
        assert part.read_bytes() == b"abc"
    with partials.open("two", "one", 10) as part:
        assert part.read_bytes() == b""


def test_what_was_moved_away_or_never_came_leaves_nothing(partials: Partials, tmp_path: Path) -> None:
    with partials.open("one", "one", 10) as part:
        part.write_bytes(b"all of it")
        part.rename(tmp_path / "elsewhere")
    with partials.open("two", "two", 10):
        pass
    assert partials.all() == []
    assert list((tmp_path / "models/.partial").iterdir()) == []


def test_the_latest_are_kept(partials: Partials) -> None:
    for age in range(MOST + 2, 0, -1):
        interrupted(partials, f"m{age}", age_s=age)
    assert models(partials) == [f"m{age}" for age in range(1, MOST + 1)]


def test_what_nobody_wanted_for_a_week_goes(partials: Partials) -> None:
    interrupted(partials, "old", age_s=WEEK_S + 1)
    interrupted(partials, "young", age_s=WEEK_S - 1)
    interrupted(partials, "new")
    assert models(partials) == ["new", "young"]


def test_what_is_being_fetched_is_spared_whatever_its_age(partials: Partials) -> None:
    with partials.open("old", "old", 10) as part:
        part.write_bytes(b"abc")
        os.utime(part, (0, 0))
        interrupted(partials, "new")
        assert partials.drop("old") == 0
        assert models(partials) == ["new", "old"]
        with pytest.raises(NoModel, match="fetched already, by another ingled"), partials.open("old", "old", 10):
            pass


def test_all_that_was_fetched_of_a_model_can_be_dropped(partials: Partials) -> None:
    interrupted(partials, "one", model="mine")
    interrupted(partials, "two", model="mine")
    interrupted(partials, "three", model="other")
    assert partials.drop("mine") == 6
    assert models(partials) == ["other"]


@pytest.mark.parametrize("about", [b"", b"{}", b"\xff"])
def test_a_damaged_one_is_passed_over(partials: Partials, about: bytes) -> None:
    interrupted(partials, "one").with_name("about.json").write_bytes(about)
    assert partials.all() == []
    with partials.open("one", "one", 10) as part:
        assert part.read_bytes() == b"abc"
    assert models(partials) == ["one"]
