"""What the daemon and its engine worker say to each other over their socket pair: length-prefixed msgpack frames.

Both sides import this module; it knows the shape of a frame, not when one is sent. Every request carries an id chosen
by the daemon, and everything that answers it carries the same id.
"""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO, Literal

import msgspec

from ingle_daemon.models.seal import Seal
from ingle_daemon.protocol import Begun, Delta, Device, Done, Failed, Fit, GenerateRequest, ModelInfo, Prompt, Started

__all__ = [
    "OWN",
    "Cancel",
    "Count",
    "Counted",
    "Detokenize",
    "Economy",
    "Evented",
    "FromWorker",
    "Hello",
    "Load",
    "LoadFailed",
    "Loaded",
    "Ping",
    "Pong",
    "Refused",
    "Render",
    "Stop",
    "Submit",
    "Text",
    "ToWorker",
    "Tokenize",
    "Tokens",
    "decode_from_worker",
    "decode_to_worker",
    "encode",
    "read_frame",
    "read_frame_async",
]


OWN = -1
"""The id of the request that nobody sent: the engine evaluates a suffix anew. Only its Done is told, for its cost."""


class _Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


# --- to the worker -------------------------------------------------------------------------------------------------


KvType = Literal["auto", "f16", "q8_0"]
FimSetting = Literal["auto", "psm", "spm", "spm-joint", "off"]


class Load(_Frame, frozen=True, tag="load"):
    """The first frame, the answer to Hello: what to load. Answered by Loaded or LoadFailed."""

    name: str
    path: str
    context: int
    threads: int
    gpu_layers: int
    kv_type: KvType
    batch: int
    splice: bool
    fim: FimSetting
    fim_tokens: int
    """The longest fill-in-the-middle prompt; 0 chooses by this machine's speed."""
    fim_seconds: float
    """What the first completion in a file may take then."""
    family: str
    """Whose fill-in-the-middle markers the catalog says that it has; "" where it says nothing."""
    snapshots: str
    """The folder for KV states between two runs."""
    seal: Seal | None = None
    """What the file must be; None where it may be any."""
    chat: bool = True
    """It is to answer questions, not only to complete."""
    exact: bool = False
    """Answers may not depend on what else runs, even where that costs speed."""


class Stop(_Frame, frozen=True, tag="stop"):
    """The last frame: write a snapshot and end."""


class Submit(_Frame, frozen=True, tag="submit"):
    """Answered by Evented: Started, Begun, Delta …, then Done or Failed."""

    id: int
    request: GenerateRequest


class Cancel(_Frame, frozen=True, tag="cancel"):
    """Answered by Evented: Done with the reason "cancelled", unless the request has ended already."""

    id: int


class Count(_Frame, frozen=True, tag="count"):
    """Answered by Counted or Refused."""

    id: int
    prompt: Prompt
    reserved: int


class Tokenize(_Frame, frozen=True, tag="tokenize"):
    """Answered by Tokens or Refused."""

    id: int
    text: str
    special: bool


class Render(_Frame, frozen=True, tag="render"):
    """Answered by Text or Refused."""

    id: int
    prompt: Prompt


class Detokenize(_Frame, frozen=True, tag="detokenize"):
    """Answered by Text or Refused."""

    id: int
    tokens: tuple[int, ...]


class Ping(_Frame, frozen=True, tag="ping"):
    """Answered by Pong, between two steps of the engine."""


class Economy(_Frame, frozen=True, tag="economy"):
    """Compute with half as many threads from now on, or with all of them again."""

    on: bool


ToWorker = Load | Economy | Stop | Submit | Cancel | Count | Tokenize | Render | Detokenize | Ping


# --- from the worker -----------------------------------------------------------------------------------------------


class Hello(_Frame, frozen=True, tag="hello"):
    """The first frame: what this llama.cpp, of `version`, was built for (`backends`), and the devices that it finds."""

    devices: tuple[Device, ...]
    backends: tuple[str, ...]
    version: str


class Loaded(_Frame, frozen=True, tag="loaded"):
    info: ModelInfo


class LoadFailed(_Frame, frozen=True, tag="load_failed"):
    error: dict[str, object]


class Evented(_Frame, frozen=True, tag="evented"):
    id: int
    event: Started | Begun | Delta | Done | Failed


class Counted(_Frame, frozen=True, tag="counted"):
    id: int
    fit: Fit


class Tokens(_Frame, frozen=True, tag="tokens"):
    id: int
    tokens: tuple[int, ...]


class Text(_Frame, frozen=True, tag="text"):
    id: int
    text: str


class Refused(_Frame, frozen=True, tag="refused"):
    """A Count, Tokenize, Render or Detokenize that failed."""

    id: int
    error: dict[str, object]


class Pong(_Frame, frozen=True, tag="pong"):
    """Every thread of the worker has come by."""


FromWorker = Hello | Loaded | LoadFailed | Evented | Counted | Tokens | Text | Refused | Pong


# --- the codec -----------------------------------------------------------------------------------------------------

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(frame: ToWorker | FromWorker) -> bytes:
    """The frame with its length in front."""
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


def decode_to_worker(body: bytes) -> ToWorker:
    return _to_worker.decode(body)


def decode_from_worker(body: bytes) -> FromWorker:
    return _from_worker.decode(body)


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame's body; None when the other side is gone."""
    try:
        head = stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        body = stream.read(length)
    except ConnectionError:
        return None  # it died with frames of ours unread
    return body if len(body) == length else None


async def read_frame_async(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's body; None when the other side is gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
