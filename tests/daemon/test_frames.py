"""Frames between the daemon and its worker, over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.engine import frames
from ingle_daemon.models.seal import Seal
from ingle_daemon.protocol import (
    ChatMessage,
    ChatPrompt,
    ContextPiece,
    Delta,
    Device,
    Done,
    Failed,
    Fit,
    GenerateRequest,
    InfillPrompt,
    Limits,
    ModelInfo,
    Prompt,
    Sampling,
    Started,
    TextPrompt,
    Timings,
    TokenPrompt,
    Usage,
)

PROMPTS: list[Prompt] = [
    ChatPrompt((ChatMessage("system", "brief"), ChatMessage("user", "hé\n"))),
    TextPrompt("text", special=False),
    TokenPrompt((1, 2, 70_000)),
    InfillPrompt("def f(", "):\n", (ContextPiece("x = 1", "a.py"),), "b.py", "repo"),
]
INFO = ModelInfo("m", "/m.gguf", "a model", 2048, 8192, 50_000, 135_000_000, 98_000_000, "psm", True, 12.5)
TO_WORKER: list[frames.ToWorker] = [
    frames.Load(
        name="m",
        path="/m.gguf",
        context=8192,
        threads=4,
        gpu_layers=-1,
        kv_type="q8_0",
        batch=256,
        splice=True,
        fim="auto",
        fim_tokens=0,
        fim_seconds=4.0,
        family="",
        snapshots="/s",
        seal=Seal(size_bytes=1, mtime_ns=2, sha256="0" * 64),
    ),
    frames.Stop(),
    frames.Ping(),
    frames.Economy(on=True),
    *(frames.Submit(number, GenerateRequest(prompt)) for number, prompt in enumerate(PROMPTS)),
    frames.Submit(
        9, GenerateRequest(PROMPTS[1], "completion", Sampling(0.0, seed=7), Limits(5, ("\n",), 300, 2), logprobs=True)
    ),
    frames.Cancel(1),
    *(frames.Count(number, prompt, 512) for number, prompt in enumerate(PROMPTS)),
    frames.Tokenize(3, "text", True),
    frames.Render(3, TextPrompt("text")),
    frames.Detokenize(4, (5, 6)),
]
FROM_WORKER: list[frames.FromWorker] = [
    frames.Hello((Device("CUDA0", "RTX", "gpu", "cuda", 1, 2, "0000:01:00.0"),), ("cuda", "cpu"), "0.3.36"),
    frames.Loaded(INFO),
    frames.LoadFailed({"code": "no_model", "message": "gone"}),
    frames.Evented(1, Started(12, 2048)),
    frames.Evented(1, Delta("é", (1, 2), (-0.5, -1.0))),
    frames.Evented(1, Done("stop", "\n", Timings(cache_n=3, prompt_ms=1.5), Usage(1, 2, 0.1))),
    frames.Evented(1, Failed({"code": "engine_lost"})),
    frames.Counted(2, Fit(10, 20, 2048, exact=False)),
    frames.Tokens(3, (1, 2, 3)),
    frames.Text(4, "text"),
    frames.Pong(),
    frames.Refused(5, {"message": "no"}),
]
ALL: list[frames.ToWorker | frames.FromWorker] = [*TO_WORKER, *FROM_WORKER]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


def name_of(frame: object) -> str:
    return type(frame).__name__


def test_every_frame_is_tried_here() -> None:
    assert {type(frame) for frame in TO_WORKER} == set(get_args(frames.ToWorker))
    assert {type(frame) for frame in FROM_WORKER} == set(get_args(frames.FromWorker))


@pytest.mark.parametrize("frame", TO_WORKER, ids=name_of)
def test_the_worker_reads_what_the_daemon_sent(pair: Pair, frame: frames.ToWorker) -> None:
    ours, its = pair
    ours.sendall(frames.encode(frame))
    with its.makefile("rb") as stream:
        body = frames.read_frame(stream)
    assert body is not None
    assert frames.decode_to_worker(body) == frame


@pytest.mark.parametrize("frame", FROM_WORKER, ids=name_of)
async def test_the_daemon_reads_what_the_worker_sent(pair: Pair, frame: frames.FromWorker) -> None:
    ours, its = pair
    its.sendall(frames.encode(frame))
    reader, writer = await asyncio.open_connection(sock=ours)
    body = await frames.read_frame_async(reader)
    writer.close()
    assert body is not None
    assert frames.decode_from_worker(body) == frame


async def test_frames_come_one_by_one_in_order_and_then_the_end(pair: Pair) -> None:
    ours, its = pair
    its.sendall(b"".join(frames.encode(frame) for frame in FROM_WORKER))
    its.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    received = [frames.decode_from_worker(await frames.read_frame_async(reader) or b"") for _ in FROM_WORKER]
    assert received == FROM_WORKER
    assert await frames.read_frame_async(reader) is None
    writer.close()


@settings(deadline=None)
@given(st.sampled_from(ALL), st.data())
def test_a_frame_cut_anywhere_is_the_end(frame: frames.ToWorker | frames.FromWorker, data: st.DataObject) -> None:
    raw = frames.encode(frame)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    ours, its = socket.socketpair()
    with its, its.makefile("rb") as stream:
        ours.sendall(cut)
        ours.close()
        assert frames.read_frame(stream) is None


@pytest.mark.parametrize("length", [0, 2, 4, 9])
async def test_a_frame_cut_on_its_way_to_the_daemon_is_the_end(pair: Pair, length: int) -> None:
    ours, its = pair
    its.sendall(frames.encode(frames.Text(4, "some text"))[:length])
    its.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    assert await frames.read_frame_async(reader) is None
    writer.close()


def test_a_daemon_that_dies_with_frames_unread_is_the_end(pair: Pair) -> None:
    ours, its = pair
    its.sendall(frames.encode(frames.Text(4, "never read")))
    ours.close()
    with its.makefile("rb") as stream:
        assert frames.read_frame(stream) is None


async def test_a_worker_that_dies_with_frames_unread_is_the_end(pair: Pair) -> None:
    ours, its = pair
    ours.sendall(frames.encode(frames.Cancel(1)))
    its.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    assert await frames.read_frame_async(reader) is None
    writer.close()


def test_the_length_stands_in_front_in_network_order() -> None:
    raw = frames.encode(frames.Cancel(1))
    assert struct.unpack(">I", raw[:4]) == (len(raw) - 4,)


def test_a_frame_of_the_other_direction_is_not_understood() -> None:
    with pytest.raises(msgspec.ValidationError):
        frames.decode_to_worker(frames.encode(frames.Text(4, "text"))[4:])
