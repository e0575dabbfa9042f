"""Models of other programs, in folders laid out as those programs do, and in such as nobody should."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.models import elsewhere
from ingle_daemon.models.elsewhere import Found
from ingle_daemon.models.spec import File

GGUF = b"GGUF" + bytes(100)
DIGEST = hashlib.sha256(GGUF).hexdigest()
PROJECTOR = "application/vnd.ollama.image.projector"
MODEL = "application/vnd.ollama.image.model"


def found_in(home: Path, **variables: str) -> list[Found]:
    return elsewhere.find(elsewhere.places({"HOME": str(home), **variables}))


def write(path: Path, content: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ollama(models: Path, name: str = "registry.ollama.ai/library/llama3.2/3b", *layers: tuple[str, str]) -> Path:
    """Ollama's store with one model, as `ollama pull` leaves it."""
    write(models / f"blobs/sha256-{DIGEST}")
    wanted = layers or ((MODEL, f"sha256:{DIGEST}"), ("application/vnd.ollama.image.license", f"sha256:{'1' * 64}"))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{'2' * 64}"},
        "layers": [{"mediaType": kind, "digest": digest, "size": len(GGUF)} for kind, digest in wanted],
    }
    return write(models / "manifests" / name, json.dumps(manifest).encode())


def hub(cache: Path, repo: str = "models--Own-er--Some-GGUF", file: str = "deep/m-Q4_K_M.gguf") -> Path:
    """The hub's cache with one file, as `hf download` leaves it."""
    blob = write(cache / repo / "blobs" / DIGEST)
    link = cache / repo / "snapshots" / ("c" * 40) / file
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    write(cache / repo / "refs/main", b"c" * 40)
    return blob


def test_where_no_program_keeps_anything_nothing_is_found(tmp_path: Path) -> None:
    assert found_in(tmp_path) == []


def test_ollamas_models_are_found_by_their_names(tmp_path: Path) -> None:
    models = tmp_path / ".ollama/models"
    ollama(models)
    ollama(models, "hf.co/own-er/some-gguf/Q4_K_M")
    blob = str(models / f"blobs/sha256-{DIGEST}")
    assert [(found.program, found.name, found.path, found.sha256, found.problem) for found in found_in(tmp_path)] == [
        ("ollama", "hf.co/own-er/some-gguf:Q4_K_M", blob, DIGEST, ""),
        ("ollama", "llama3.2:3b", blob, DIGEST, ""),
    ]


def test_ollamas_own_variable_is_heeded(tmp_path: Path) -> None:
    ollama(tmp_path / "big-disk")
    assert [found.name for found in found_in(tmp_path, OLLAMA_MODELS=str(tmp_path / "big-disk"))] == ["llama3.2:3b"]


@pytest.mark.parametrize(
    "digest", ["sha256:../../../secret", f"sha256:{'A' * 64}", f"sha256-{DIGEST}", "sha256:", f"md5:{DIGEST}"]
)
def test_a_manifest_leads_to_blobs_alone(tmp_path: Path, digest: str) -> None:
    write(tmp_path / ".ollama/secret")
    ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/evil/latest", (MODEL, digest))
    (found,) = found_in(tmp_path)
    assert "its manifest is none" in found.problem
    with pytest.raises(NoModel, match="cannot be used"):
        elsewhere.choose([found], "evil", "")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"layers": 1}', b'{"":' * 100_000])
def test_a_damaged_manifest_is_told_and_hides_nothing_else(tmp_path: Path, content: bytes) -> None:
    models = tmp_path / ".ollama/models"
    ollama(models)
    write(models / "manifests/registry.ollama.ai/library/bad/latest", content)
    bad, good = found_in(tmp_path)
    assert (bad.name, good.name, good.problem) == ("bad:latest", "llama3.2:3b", "")
    assert "its manifest is none" in bad.problem


def test_what_ollama_keeps_in_several_files_is_told(tmp_path: Path) -> None:
    models = tmp_path / ".ollama/models"
    ollama(models, "registry.ollama.ai/library/two/latest", *[(MODEL, f"sha256:{DIGEST}")] * 2)
    assert [found.problem for found in found_in(tmp_path)] == ["it is in several files"]


def test_a_model_beside_its_projector_is_one_file(tmp_path: Path) -> None:
    models = tmp_path / ".ollama/models"
    layers = ((MODEL, f"sha256:{DIGEST}"), (PROJECTOR, f"sha256:{'3' * 64}"))
    ollama(models, "registry.ollama.ai/library/sees/latest", *layers)
    assert [found.problem for found in found_in(tmp_path)] == [""]


def test_a_blob_that_is_gone_is_told(tmp_path: Path) -> None:
    ollama(tmp_path / ".ollama/models")
    (tmp_path / f".ollama/models/blobs/sha256-{DIGEST}").unlink()
    assert [found.problem for found in found_in(tmp_path)] == ["it cannot be read: No such file or directory"]


@pytest.mark.parametrize("folder", [".lmstudio/models", ".cache/lm-studio/models"])
def test_lm_studios_models_are_found(tmp_path: Path, folder: str) -> None:
    path = write(tmp_path / folder / "publisher/repository/m-Q4_K_M.gguf")
    write(tmp_path / folder / "publisher/repository/mmproj-m.gguf")
    (found,) = found_in(tmp_path)
    assert (found.program, found.name, found.path) == ("lmstudio", "publisher/repository/m-Q4_K_M.gguf", str(path))


@pytest.mark.parametrize("settings", [b"{}", b"[", b'{"downloadsFolder": 1}', b'{"downloadsFolder": "relative"}'])
def test_lm_studios_home_may_lie_elsewhere(tmp_path: Path, settings: bytes) -> None:
    moved = tmp_path / "moved"
    write(tmp_path / ".lmstudio-home-pointer", f"{moved}\n".encode())
    write(moved / "settings.json", settings)
    write(moved / "models/a/b/m.gguf")
    assert [found.name for found in found_in(tmp_path)] == ["a/b/m.gguf"]


def test_lm_studios_models_may_lie_elsewhere(tmp_path: Path) -> None:
    settings = {"downloadsFolder": str(tmp_path / "downloads"), "other": [1]}
    write(tmp_path / ".lmstudio/settings.json", json.dumps(settings).encode())
    write(tmp_path / "downloads/a/b/m.gguf")
    assert [found.name for found in found_in(tmp_path)] == ["a/b/m.gguf"]


@pytest.mark.parametrize(
    ("folder", "variables"),
    [(".cache/huggingface/hub", {}), ("hf/hub", {"HF_HOME": "{}/hf"}), ("hubs", {"HF_HUB_CACHE": "{}/hubs"})],
)
def test_the_hubs_cache_is_found(tmp_path: Path, folder: str, variables: dict[str, str]) -> None:
    blob = hub(tmp_path / folder)
    (found,) = found_in(tmp_path, **{name: value.format(tmp_path) for name, value in variables.items()})
    assert (found.program, found.name) == ("hub", "Own-er/Some-GGUF/deep/m-Q4_K_M.gguf")
    assert (found.path, found.sha256, found.problem) == (str(blob), DIGEST, "")


def test_a_link_out_of_the_cache_is_not_followed(tmp_path: Path) -> None:
    cache = tmp_path / ".cache/huggingface/hub"
    blob = hub(cache)
    secret = write(tmp_path / "secret")
    blob.unlink()
    blob.symlink_to(secret)
    (found,) = found_in(tmp_path)
    assert "leads out of the cache" in found.problem


def test_llama_cpps_cache_is_found_in_both_its_shapes(tmp_path: Path) -> None:
    cache = tmp_path / ".cache/llama.cpp"
    write(cache / "own-er_some_m-Q4_K_M.gguf")
    write(cache / "own-er_big_m-00001-of-00002.gguf")
    hub(cache)
    assert [(found.program, found.name, bool(found.problem)) for found in found_in(tmp_path)] == [
        ("llama.cpp", "Own-er/Some-GGUF/deep/m-Q4_K_M.gguf", False),
        ("llama.cpp", "own-er_big_m-00001-of-00002.gguf", True),
        ("llama.cpp", "own-er_some_m-Q4_K_M.gguf", False),
    ]
    write(tmp_path / "cache/other.gguf")
    assert [found.name for found in found_in(tmp_path, LLAMA_CACHE=str(tmp_path / "cache"))] == ["other.gguf"]


def test_a_file_that_is_no_gguf_is_told(tmp_path: Path) -> None:
    write(tmp_path / ".cache/llama.cpp/m.gguf", b"<html>")
    assert [found.problem for found in found_in(tmp_path)] == ["it is not a GGUF file"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    models = tmp_path / ".ollama/models"
    ollama(models)
    (models / f"blobs/sha256-{DIGEST}").unlink()
    os.mkfifo(models / f"blobs/sha256-{DIGEST}")
    os.mkfifo(models / "manifests/registry.ollama.ai/library/llama3.2/pipe")
    assert [found.problem for found in found_in(tmp_path)] == [
        "it is not a GGUF file",
        "its manifest is none: No such file or directory",
    ]


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".ollama/models"
    ollama(folder)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).is_relative_to(folder):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root, who may run the tests, may read everything
    (found,) = found_in(tmp_path)
    assert (found.path, found.problem) == (str(folder), "the folder cannot be read: Permission denied")


def test_a_model_is_chosen_by_its_name_or_the_end_of_it(tmp_path: Path) -> None:
    ollama(tmp_path / ".ollama/models", "registry.ollama.ai/library/llama3.2/latest")
    write(tmp_path / ".lmstudio/models/publisher/repository/m.gguf")
    found = found_in(tmp_path)
    assert elsewhere.choose(found, "llama3.2", "").request().name == "llama3.2"
    chosen = elsewhere.choose(found, "m.gguf", "").request()
    assert isinstance(chosen.source, File)
    assert (chosen.name, chosen.origin) == ("m", "lmstudio: publisher/repository/m.gguf")
    assert elsewhere.choose(found, "llama3.2:latest", "ollama").request().sha256 == DIGEST
    with pytest.raises(NoModel, match=r"keeps a model 'llama3\.2'"):
        elsewhere.choose(found, "llama3.2", "lmstudio")


def test_a_name_that_two_programs_have_needs_the_program(tmp_path: Path) -> None:
    for folder in (".lmstudio/models/a/b", ".lmstudio/models/c/d", ".cache/huggingface"):
        write(tmp_path / folder / "m.gguf")
    found = found_in(tmp_path)
    with pytest.raises(UsageError, match=r"several models m\.gguf: lmstudio a/b/m\.gguf or lmstudio c/d"):
        elsewhere.choose(found, "m.gguf", "")
    assert elsewhere.choose(found, "c/d/m.gguf", "").path.endswith("c/d/m.gguf")
