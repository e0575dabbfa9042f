"""The look at a GGUF's head: real files of the format's own writer, then every way to damage them."""

from __future__ import annotations

import contextlib
import io
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf as reference
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gguf_files
from ingle_daemon.errors import NoModel
from ingle_daemon.models import gguf
from ingle_daemon.models.shape import Architecture, Shape


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


# --- the shape ---------------------------------------------------------------------------------------------

SMALL = Architecture(
    name="qwen2",
    layers=2,
    embedding=32,
    feed_forward=64,
    heads=2,
    kv_heads=1,
    head_length=32,
    vocabulary=60,
    context=4096,
    experts=2,
    experts_used=1,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole model, small enough to be damaged ten thousand times a second."""
    return gguf_files.write(tmp_path_factory.mktemp("gguf") / "m.gguf", SMALL, "Q8_0", tokens=True).read_bytes()


def test_the_shape_is_what_the_tensors_and_numbers_say(model: bytes) -> None:
    def of(prefix: str) -> int:
        return sum(t.bytes for t in gguf_files.tensors(SMALL, "Q8_0") if t.name.startswith(prefix))

    assert parse(model).shape == Shape(
        architecture="qwen2",
        layers=2,
        embedding=32,
        feed_forward=64,
        heads=2,
        kv_heads=(1, 1),
        key_length=32,
        value_length=32,
        vocabulary=60,
        context=4096,
        experts=2,
        experts_used=1,
        layer_bytes=(of("blk.0."), of("blk.1.")),
        output_bytes=of("output"),
        embedding_bytes=of("token_embd"),
        steady=True,
    )


def test_k_quants_are_not_steady(tmp_path: Path) -> None:
    wide = msgspec.structs.replace(SMALL, embedding=256, feed_forward=256)
    model = gguf_files.write(tmp_path / "m.gguf", wide, "Q4_K_M", tokens=True)
    shape = parse(model.read_bytes()).shape
    assert shape
    assert not shape.steady


def numbers(path: Path, **more: int | list[int]) -> bytes:
    """A model of three layers with these numbers, and hardly a tensor."""
    architecture = "granitehybrid"
    writer = reference.GGUFWriter(path, architecture)
    for key, value in ({"block_count": 3, "embedding_length": 64, "attention.head_count": 4} | more).items():
        add = writer.add_array if isinstance(value, list) else writer.add_uint32
        add(f"{architecture}.{key.replace('__', '.')}", value)
    writer.add_tensor("token_embd.weight", np.ones((10, 64), dtype=np.float32))
    writer.add_tensor("blk.2.ffn_up.weight", np.ones((8, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def test_layers_may_differ_and_some_have_a_state_instead_of_heads(tmp_path: Path) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 100, "ssm__state_size": 10, "ssm__group_count": 1}
    shape = parse(numbers(tmp_path / "h.gguf", attention__head_count_kv=[0, 2, 0], **ssm)).shape
    assert shape
    assert (shape.kv_heads, shape.key_length, shape.value_length) == ((0, 2, 0), 16, 16)
    assert shape.state_bytes == 2 * 4 * (100 * 10 + 3 * (100 + 2 * 10))
    assert shape.layer_bytes == (0, 0, 8 * 64 * 4)
    assert shape.output_bytes == shape.shared_bytes == shape.embedding_bytes == 10 * 64 * 4


def test_every_layer_has_the_heads_of_a_model_that_says_no_more(tmp_path: Path) -> None:
    shape = parse(numbers(tmp_path / "h.gguf")).shape
    assert shape
    assert shape.kv_heads == (4, 4, 4)


def test_a_file_that_is_no_language_model_has_no_shape(whole: bytes) -> None:
    assert parse(whole).shape is None


@pytest.mark.parametrize(
    ("absurd", "message"),
    [
        ({"block_count": 5000}, "block_count is 5000"),
        ({"block_count": 2}, "a tensor blk.2.ffn_up.weight, and 2 layers"),
        ({"embedding_length": 2**31}, "embedding_length is 2147483648"),
        ({"attention__head_count_kv": [1, 2]}, "head_count_kv is given for 2 of 3 layers"),
        ({"attention__key_length": 10**9}, "key_length is 1000000000"),
        ({"expert_count": 10**6}, "expert_count is 1000000"),
    ],
)
def test_numbers_that_cannot_be_are_refused(absurd: dict[str, int | list[int]], message: str, tmp_path: Path) -> None:
    with pytest.raises(NoModel, match=f"is damaged: .*{message}"):
        parse(numbers(tmp_path / "h.gguf", **absurd))


# --- fuzzing -----------------------------------------------------------------------------------------------

WORDS = [n.to_bytes(size, "little") for size in (4, 8) for n in (0, 1, 2, 9, 2 ** (4 * size), 2 ** (8 * size) - 1)]


def flip(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def overwrite(data: bytearray, dice: random.Random) -> None:
    word, at = dice.choice(WORDS), dice.randrange(len(data))
    data[at : at + len(word)] = word


def cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def drop(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    del data[at : at + dice.randrange(1, 40)]


def repeat(data: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = data[at : at + dice.randrange(1, 400)]


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [flip, flip, overwrite, overwrite, cut, drop, repeat]
HEAD = 5000  # what is read of the small model; behind it lie the weights


def damaged(model: bytes, dice: random.Random) -> bytes:
    head = bytearray(model[:HEAD])
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        if head:
            dice.choice(DAMAGES)(head, dice)
    return bytes(head) + model[HEAD:] * (dice.random() < 0.9)


def test_twenty_thousand_damaged_models_cause_nothing_but_no_model(model: bytes) -> None:
    dice, refused = random.Random(8), 0
    for _ in range(20_000):
        data = damaged(model, dice)
        try:
            parse(data)
        except NoModel:
            refused += 1
    assert 5_000 < refused < 19_000, "some damage is harmless, and most is not"


def test_a_damaged_model_takes_no_memory_to_refuse(model: bytes) -> None:
    dice = random.Random(9)
    tracemalloc.start()
    try:
        for _ in range(1_000):
            data = damaged(model, dice)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with contextlib.suppress(NoModel):
                gguf.parse(io.BytesIO(data), len(data), "m.gguf")
            assert tracemalloc.get_traced_memory()[1] - before < 200_000
    finally:
        tracemalloc.stop()


class Endless(io.RawIOBase):
    """A file of zeros behind a beginning, as large as one likes: what a sparse file looks like."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._head[self._at : self._at + size]
        self._at += size
        return data + bytes(size - len(data))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset if whence == io.SEEK_SET else self._at + offset
        return self._at


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return len(name).to_bytes(8, "little") + name + kind.to_bytes(4, "little") + value


def u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


HUGE = {
    "texts": u64(0) + u64(1) + key(b"tokenizer.ggml.tokens", 9, (8).to_bytes(4, "little") + u64(2**37)),
    "many texts": u64(0) + u64(2) + key(b"a", 9, (8).to_bytes(4, "little") + u64(1_999_999) + bytes(15_999_992)) * 2,
    "many arrays": u64(0)
    + u64(9_999)
    + b"".join(
        key(b"%04d.block_count" % n, 9, (10).to_bytes(4, "little") + u64(1024) + bytes(8192)) for n in range(1999)
    ),
    "many tensors": u64(20_000)
    + u64(0)
    + (u64(60) + b"n" * 60 + (1).to_bytes(4, "little") + u64(1) + bytes(12)) * 20_000,
}


@pytest.mark.parametrize("kind", HUGE)
def test_what_a_huge_file_announces_is_not_believed(kind: str) -> None:
    began = time.process_time()
    with contextlib.suppress(NoModel):
        gguf.parse(Endless(b"GGUF\x03\0\0\0" + HUGE[kind]), 2**50, "huge.gguf")  # type: ignore[arg-type]
    assert time.process_time() - began < 10


@pytest.mark.parametrize("kind", ["many arrays", "many tensors"])
def test_what_a_huge_file_announces_is_not_kept(kind: str) -> None:
    file = Endless(b"GGUF\x03\0\0\0" + HUGE[kind])
    tracemalloc.start()
    try:
        with contextlib.suppress(NoModel):
            gguf.parse(file, 2**50, "huge.gguf")  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
