"""`ingle model list|search|info|recommend`: through a real daemon, in 40 columns and in 100, and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import pytest

from ingle_shell.commands.catalog import memory
from support import Instance


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    instance = Instance(tmp_path_factory.mktemp("models"))
    instance.script()
    yield instance
    instance.close()


def model(instance: Instance, *words: str, columns: int = 100) -> str:
    done = instance.run("ingle", "model", *words, env={"COLUMNS": str(columns)})
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--all"),
        ("search", "coder"),
        ("info", "codestral-22b-v0.1"),
        ("info", "qwen2.5-coder-7b-instruct", "--fit", "--vram", "4GiB"),
        ("info", "phi-4-mini-instruct", "--fit", "--vram", "0"),
        ("recommend", "--vram", "16GiB"),
    ],
)
def test_forty_columns_are_enough(instance: Instance, words: tuple[str, ...]) -> None:
    lines = model(instance, *words, columns=40).splitlines()
    too_long = [line for line in lines if len(line) > 40 and "https://" not in line and "ingle model pull" not in line]
    assert too_long == []


def test_the_catalog_says_size_use_and_licence(instance: Instance) -> None:
    lines = model(instance, "list", "--all").splitlines()
    assert "  codestral-22b-v0.1             13 GB  completion+chat  Mistral AI Non-Production License" in lines


def test_a_search_finds_by_every_word(instance: Instance) -> None:
    assert [line.split()[0] for line in model(instance, "search", "granite", "1b").splitlines()] == ["granite-4.0-1b"]


def test_a_search_that_finds_nothing_says_so_beside_an_empty_output(instance: Instance) -> None:
    done = instance.run("ingle", "model", "search", "nonesuch")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`ingle model list --all`" in done.stderr
    done = instance.run("ingle", "model", "search", "nonesuch", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"models": []})


def test_a_model_is_described(instance: Instance) -> None:
    told = model(instance, "info", "codestral-22b-v0.1:q2_k")
    assert "codestral-22b-v0.1:Q2_K" in told
    assert "8.3 GB in Q2_K, 22.2 billion parameters" in told
    assert "with conditions:" in told
    assert "https://mistral.ai/licenses/MNPL-0.1.md" in told
    assert "on GPU" not in told


def test_how_it_fits_is_told_in_words_and_tables(instance: Instance) -> None:
    told = model(instance, "info", "qwen2.5-coder-7b-instruct", "--fit", "--vram", "4GiB", "--ram", "16GiB")
    assert "19 of 29 layers are on the GPU" in told
    assert "driver   600 MB      -" in told
    assert "* Q4_K_M 4.7 GB  19/29   8,192 q8_0" in told.splitlines()
    assert "  Q2_K   3.0 GB    all   8,192  f16" in told.splitlines()


def test_what_is_not_known_is_not_made_up(instance: Instance) -> None:
    assert "whether it fits is told once it is here" in model(instance, "info", "mellum-4b-base", "--fit")


def test_a_model_is_recommended_with_the_one_command_to_type(instance: Instance) -> None:
    lines = model(instance, "recommend", "--vram", "24GiB", "--ram", "32GiB").splitlines()
    assert lines[0] == "with GPU, 24 GiB; RAM, 32 GiB:"
    assert "take qwen3-coder-30b-a3b-instruct (19 GB, Apache-2.0)" in lines
    assert "  ingle model pull qwen3-coder-30b-a3b-instruct" in lines


def test_programs_get_json(instance: Instance) -> None:
    answer = json.loads(model(instance, "recommend", "--vram", "8GiB", "--json"))
    assert answer["picks"][0]["command"] == "ingle model pull qwen2.5-coder-7b-instruct"
    info = json.loads(model(instance, "info", "qwen3-8b", "--fit", "--vram", "8GiB", "--context", "4096", "--json"))
    assert info["fit"]["context"] == 4096
    assert info["fit"]["needs"]["weights_gpu"] > 4e9
    assert len(json.loads(model(instance, "search", "coder", "--json"))["models"]) > 10
    assert "catalog" not in json.loads(model(instance, "list", "--json"))


def test_an_unknown_model_is_answered_with_close_ones(instance: Instance) -> None:
    done = instance.run("ingle", "model", "info", "qwen3-8")
    assert done.returncode == 2
    assert "Did you mean qwen3-8b" in done.stderr


def test_a_mistake_in_models_toml_is_told_with_its_line(instance: Instance) -> None:
    path = instance.config_file.with_name("models.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('[[model]]\nname = "x"\nopen = 1\n')
    try:
        done = instance.run("ingle", "model", "list")
        assert done.returncode == 2
        assert "models.toml:3: model[0].open: Expected `bool`" in done.stderr
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GiB", 2**32), ("4", 2**32), ("4GB", 4 * 10**9), ("1.5g", 15 * 10**8), ("6000 MB", 6 * 10**9), ("0", 0)],
)
def test_memory_is_said_as_people_say_it(text: str, size: int) -> None:
    assert memory(text) == size


@pytest.mark.parametrize("text", ["", "much", "-4GiB", "4TB"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--vram", type=memory)
    with pytest.raises(argparse.ArgumentError, match="size"):
        parser.parse_args([f"--vram={text}"])
