"""The look at a GGUF's head: real files of the format's own writer, then every way to damage them."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import gguf as reference
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.errors import NoModel
from ingle_daemon.models import gguf


def write(path: Path) -> bytes:
    """A small GGUF with everything that is read from one."""
    writer = reference.GGUFWriter(path, "qwen2")
    writer.add_name("Tiny")
    writer.add_context_length(4096)
    writer.add_chat_template("{{ messages }}" * 200)
    writer.add_token_list(["<pad>", "a", "ü"])
    writer.add_token_types([3, 1, 1])
    writer.add_rope_freq_base(10_000.0)
    writer.add_uint32("tokenizer.ggml.fim_pre_token_id", 5)
    writer.add_uint32("tokenizer.ggml.fim_suf_token_id", 6)
    writer.add_uint32("tokenizer.ggml.middle_token_id", 7)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_tensor("token_embd.weight", np.ones((3, 64), dtype=np.float32))
    quantized = np.zeros((4, 34), dtype=np.uint8)
    writer.add_tensor("blk.0.weight", quantized, raw_dtype=reference.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


class Watched(io.BytesIO):
    """A file that notices when more is asked of it than it has."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= len(self.getbuffer()) - self.tell()
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        at = super().seek(offset, whence)
        assert at <= len(self.getbuffer())
        return at


def parse(data: bytes) -> gguf.Header:
    return gguf.parse(Watched(data), len(data), "tiny.gguf")


def test_a_whole_file_says_what_it_is(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(whole)
    assert gguf.check(path) == gguf.Header(
        version=3,
        tensors=2,
        architecture="qwen2",
        name="Tiny",
        context_length=4096,
        chat_template=True,
        fim_prefix=5,
        fim_suffix=6,
        fim_middle=7,
    )


def test_a_file_cut_short_anywhere_is_refused(whole: bytes) -> None:
    padding = -(4 * 34) % 32  # the writer pads the last tensor, too; nobody needs that
    parse(whole[: len(whole) - padding])
    for end in range(len(whole) - padding):
        with pytest.raises(NoModel, match=r"cut short|not a GGUF") as caught:
            parse(whole[:end])
        assert caught.value.details["path"] == "tiny.gguf"


@pytest.mark.parametrize("content", [b"", b"GG", b"<!DOCTYPE html><html>", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_gguf_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(content)
    with pytest.raises(NoModel, match=r"page\.gguf is not a GGUF file") as caught:
        gguf.check(path)
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(NoModel, match="version 9"):
        parse(b"GGUF" + (9).to_bytes(4, "little") + bytes(16))


def test_absurd_counts_are_refused_at_once() -> None:
    with pytest.raises(NoModel, match="damaged"):
        parse(b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16 + bytes(100))


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path) -> None:
    with pytest.raises(NoModel, match="No such file"):
        gguf.check(tmp_path / "none.gguf")
    with pytest.raises(NoModel, match="Is a directory"):
        gguf.check(tmp_path)


@given(data=st.data())
def test_no_damage_causes_anything_but_no_model(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    places = st.integers(0, len(whole) - 1)
    words = st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8) | st.just(b"\0" * 8)
    for place, word in data.draw(st.lists(st.tuples(places, words), min_size=1, max_size=6)):
        damaged[place : place + len(word)] = word
    end = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    with contextlib.suppress(NoModel):
        parse(bytes(damaged[:end]))


@given(st.binary(max_size=300))
def test_no_bytes_after_the_magic_cause_anything_but_no_model(tail: bytes) -> None:
    with contextlib.suppress(NoModel):
        parse(b"GGUF\x03\0\0\0" + tail)
