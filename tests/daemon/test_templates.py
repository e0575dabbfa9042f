"""Which template a model gets, from the ids and the spellings in its vocabulary."""

from __future__ import annotations

import pytest

from ingle_daemon.fim.templates import FAMILIES, FimIds, Template, template_for
from ingle_daemon.models import catalog

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|im_start|>", "<|im_end|>")
STAR = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
NO_IDS = FimIds()
VOCABULARIES = {
    "seed-coder": ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
    "codestral": ("[PREFIX]", "[SUFFIX]"),
    "deepseek": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    "codellama": ("<PRE>", "<SUF>", "<MID>", "<EOT>"),
    "qwen": (*QWEN, "<|repo_name|>", "<|file_sep|>"),
    "codegemma": (*QWEN[:3], "<|file_separator|>"),
    "granite": (*QWEN[:3], "<|end_of_text|>"),
    "mellum": (*STAR, "<reponame>", "<filename>"),
    "starcoder2": (*STAR, "<repo_name>", "<file_sep>"),
    "starcoder": (*STAR, "<reponame>", "<filename>"),
}


def choose(vocabulary: tuple[str, ...], ids: FimIds = NO_IDS, model: str = "", family: str = "") -> Template:
    table = {text: 100 + number for number, text in enumerate(vocabulary)}
    names = {number: text for text, number in table.items()}
    return template_for(
        ids, lambda token: names.get(token, "?"), lambda text: table.get(text, -1), model=model, family=family
    )


@pytest.mark.parametrize("family", VOCABULARIES)
@pytest.mark.parametrize("named", [True, False], ids=["ids in the GGUF", "spellings alone"])
def test_each_family_is_known_by_its_markers(family: str, named: bool) -> None:
    vocabulary = VOCABULARIES[family]
    ids = FimIds(100, 101, 102 if family != "codestral" else -1) if named else NO_IDS
    template = choose(vocabulary, ids, model="Mellum 4b" if family == "mellum" else "")
    assert (template.name, template.usable) == (family, True)
    assert (template.pre, template.suf) == (100, 101)


def test_every_family_of_the_table_is_tried_here() -> None:
    assert {family.name for family in FAMILIES} == set(VOCABULARIES)


@pytest.mark.parametrize(
    ("family", "order"), [("qwen", "psm"), ("seed-coder", "spm"), ("codestral", "spm"), ("starcoder2", "psm")]
)
def test_the_order_is_the_familys(family: str, order: str) -> None:
    assert choose(VOCABULARIES[family]).order == order


def test_a_marker_ends_a_completion() -> None:
    template = choose(VOCABULARIES["codegemma"])
    assert template.ends == (100, 101, 102, 103)


def test_ids_of_unknown_spelling_are_used_as_they_are() -> None:
    template = choose(("<a>", "<b>", "<c>"), FimIds(100, 101, 102))
    assert (template.name, template.order, template.usable) == ("generic", "psm", True)


def test_without_markers_there_is_no_filling_in() -> None:
    assert not choose(("<s>", "</s>")).usable


def test_another_file_begins_with_a_header_where_there_is_no_marker() -> None:
    assert choose(VOCABULARIES["codestral"]).stops == ("\n+++++ ",)


def test_where_the_gguf_names_nothing_the_catalog_comes_first() -> None:
    both = (*VOCABULARIES["qwen"], *VOCABULARIES["codegemma"])
    assert choose(both).name == "qwen"
    assert choose(both, family="codegemma").name == "codegemma"
    assert choose(VOCABULARIES["mellum"], family="mellum").name == "mellum"


def test_the_gguf_knows_better_than_the_catalog() -> None:
    assert choose(VOCABULARIES["qwen"], FimIds(100, 101, 102), family="starcoder2").name == "qwen"
    assert choose(VOCABULARIES["qwen"], family="starcoder2").name == "qwen", "it has none of those markers"


def test_the_catalog_names_families_that_there_are() -> None:
    known = {family.name for family in FAMILIES}
    assert {entry.family for entry in catalog.load().entries if entry.family} <= known
    assert catalog.load().family_of("qwen2.5-coder-1.5b-instruct") == "qwen"
    assert catalog.load().family_of("some/file") == ""
    assert all(bool(entry.family) == entry.fim for entry in catalog.load().entries)
