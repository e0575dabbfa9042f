"""What is typed after `ingle model pull`, read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingle_daemon.errors import UsageError
from ingle_daemon.models import catalog
from ingle_daemon.models.catalog import Hub
from ingle_daemon.models.spec import File, Request, Url, choose, name_for, parse

DIGEST = "0123456789abcdef" * 4


def read(text: str, **options: str) -> Request:
    return parse(text, catalog.load(), **options)


def test_a_name_is_the_catalogs() -> None:
    starter = catalog.load().starter
    request = read(starter.name)
    assert (request.name, request.sha256, request.source) == (starter.name, starter.sha256, starter.source)
    assert request.listed


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("hf:Own-er/Some.Repo-GGUF", "some.repo", Hub(repo="Own-er/Some.Repo-GGUF", file="Q4_K_M")),
        ("hf:a/b:q5_k_m", "b:Q5_K_M", Hub(repo="a/b", file="Q5_K_M")),
        ("hf:a/b:Deep/Model.Q8_0.gguf", "model.q8_0", Hub(repo="a/b", file="Deep/Model.Q8_0.gguf")),
        ("https://host/a%20b/My%20Model.GGUF?x=1", "my-model", Url(url="https://host/a%20b/My%20Model.GGUF?x=1")),
        ("/models/My_Model.gguf", "my_model", File(path=Path("/models/My_Model.gguf"), origin="/models/My_Model.gguf")),
    ],
)
def test_other_sources_give_the_model_its_name(text: str, name: str, source: object) -> None:
    request = read(text)
    assert (request.name, request.source, request.listed) == (name, source, False)
    assert read(text, name="mine").name == "mine"


def test_a_digest_stands_behind_the_address_or_in_an_option() -> None:
    assert read(f"https://host/m.gguf#sha256={DIGEST.upper()}").sha256 == DIGEST
    assert read("https://host/m.gguf", sha256=DIGEST.upper()).sha256 == DIGEST
    assert read(f"https://host/m.gguf#sha256={DIGEST}").source == Url(url="https://host/m.gguf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file:///etc/passwd.gguf", "no address that can be fetched"),
        ("ftp://host/m.gguf", "no address that can be fetched"),
        ("https:///m.gguf", "no address that can be fetched"),
        ("https://[host/m.gguf", "no address that can be fetched"),
        ("https://host/m.bin", "does not end in .gguf"),
        ("https://host/m.gguf#sha256=abc", "is no SHA-256"),
        ("https://host/m-00001-of-00003.gguf", "one part of a model"),
        ("hf:a", "no repository of the hub"),
        ("hf:../a", "no repository of the hub"),
        ("hf:a/../b", "no repository of the hub"),
        ("hf:a/b:../../m.gguf", "no file of a repository"),
        ("hf:a/b:/m.gguf", "no file of a repository"),
        ("hf:a/b:model.bin!", "neither a GGUF file nor a quantization"),
        ("hf:a/b:m-00001-of-00003.gguf", "one part of a model"),
        ("models/m.gguf", "no absolute path"),
        ("/models/\0m.gguf", "no absolute path"),
        ("/models/m-00002-of-00003.gguf", "one part of a model"),
        ("no-such-model", "no model 'no-such-model' in the catalog"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        read("https://me:s3cret@host/m.bin?token=s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "Capital", "a b"])
def test_a_name_is_a_name_of_a_folder(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        read("https://host/m.gguf", name=name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("..gguf", "model"),
        ("...", "model"),
        ("Qwen2.5-3B-Instruct-GGUF", "qwen2.5-3b-instruct"),
        ("ü.gguf", "model"),
        ("a\nb.gguf", "a-b"),
    ],
)
def test_any_file_gets_a_name_that_can_be_one(file: str, name: str) -> None:
    assert name_for(file) == name


FILES = ("m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q4_K.gguf", "m-IQ4_K_M.gguf", "mmproj-Q4_K_M.gguf", "m.Q8_0.gguf")


@pytest.mark.parametrize(("quant", "file"), [("Q4_K_M", FILES[0]), ("q4_k", FILES[2]), ("Q8_0", FILES[5])])
def test_a_quantization_is_looked_for_as_a_word(quant: str, file: str) -> None:
    assert choose(read(f"hf:a/b:{quant}"), FILES).source == Hub(repo="a/b", file=file)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), "2 files of the quantization"),
        (("a-Q8_0.gguf",), "no file of the quantization"),
        (("a-Q4_K_M-00001-of-00002.gguf",), "no file of the quantization"),
    ],
)
def test_what_cannot_be_chosen_from_a_repository_is_listed(files: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        choose(read("hf:a/b"), files)
    for file in files:
        assert file in caught.value.hint or "-of-" in file
