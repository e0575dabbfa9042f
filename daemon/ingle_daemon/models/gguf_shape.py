"""The shape of a model out of what its GGUF's head says. Pure; nothing of it is believed that cannot be.

This module knows names of keys and tensors; it reads no file, and knows no machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ingle_daemon.models.shape import Shape

__all__ = ["KEYS", "MOST_LAYERS", "Tensor", "Value", "shape_of"]

Value = int | str | tuple[int, ...]

MOST_LAYERS = 1024  # real models: under 130
_MOST = {
    "block_count": MOST_LAYERS,
    "embedding_length": 2**20,
    "feed_forward_length": 2**22,
    "expert_feed_forward_length": 2**22,
    "expert_count": 2**14,
    "expert_used_count": 2**14,
    "context_length": 2**32 - 1,
    "attention.head_count": 2**14,
    "attention.head_count_kv": 2**14,
    "attention.key_length": 2**16,
    "attention.value_length": 2**16,
    "attention.sliding_window": 2**32 - 1,
    "ssm.conv_kernel": 2**10,
    "ssm.group_count": 2**14,
    "ssm.inner_size": 2**20,
    "ssm.state_size": 2**16,
}
"""The largest value of a key that is believed: some thirty times what any model has."""
KEYS = frozenset(_MOST)
"""The keys that are asked for, without the architecture's name before them."""


class Tensor(NamedTuple):
    """A tensor's place in the model and its size. `rows` is what is left of its dimensions after the first; `steady`
    says that llama.cpp multiplies it in one way whatever the batch."""

    name: str
    rows: int
    bytes: int
    steady: bool


def shape_of(architecture: str, values: Mapping[str, Value], tensors: Sequence[Tensor]) -> Shape | None:
    """The model's shape; None where it is no language model, or not all of one.

    Raises ValueError that says which number cannot be.
    """
    says = _Said(architecture, values)
    table = next((tensor for tensor in tensors if tensor.name == "token_embd.weight"), None)
    layers, embedding = says.number("block_count"), says.number("embedding_length")
    if not layers or not embedding or table is None:
        return None
    heads = says.each("attention.head_count", layers)
    kv_heads = says.each("attention.head_count_kv", layers, heads)
    experts = says.number("expert_count")
    usual = embedding // max(heads) if max(heads) else 0
    shared = table.bytes if all(tensor.name != "output.weight" for tensor in tensors) else 0
    output = sum(tensor.bytes for tensor in tensors if tensor.name.startswith("output"))
    by_layer = _bytes_by_layer(tensors, layers)
    return Shape(
        architecture=architecture,
        layers=layers,
        embedding=embedding,
        feed_forward=says.number("expert_feed_forward_length") or max(says.each("feed_forward_length", layers)),
        heads=max(heads),
        kv_heads=kv_heads,
        key_length=says.number("attention.key_length") or usual,
        value_length=says.number("attention.value_length") or usual,
        vocabulary=table.rows,
        context=says.number("context_length"),
        window=says.number("attention.sliding_window"),
        experts=experts,
        experts_used=says.number("expert_used_count"),
        state_bytes=_state_bytes(says, kv_heads),
        layer_bytes=by_layer,
        output_bytes=output + shared,
        embedding_bytes=sum(tensor.bytes for tensor in tensors) - sum(by_layer) - output,
        shared_bytes=shared,
        steady=all(tensor.steady for tensor in tensors),
    )


class _Said:
    """The numbers of one architecture; what is not there is 0."""

    def __init__(self, architecture: str, values: Mapping[str, Value]) -> None:
        self._architecture = architecture
        self._values = values

    def number(self, key: str) -> int:
        return max(self._numbers(key), default=0)

    def each(self, key: str, layers: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Of every layer; one number is every layer's."""
        found = self._numbers(key)
        if not found:
            return default or (0,) * layers
        if len(found) not in (1, layers):
            raise ValueError(f"{self._architecture}.{key} is given for {len(found)} of {layers} layers")
        return found if len(found) == layers else found * layers

    def _numbers(self, key: str) -> tuple[int, ...]:
        value = self._values.get(f"{self._architecture}.{key}", ())
        numbers = (value,) if isinstance(value, int) else value
        if isinstance(numbers, str):
            raise ValueError(f"{self._architecture}.{key} is a text")  # noqa: TRY004 - no type of ours: the file's
        for number in numbers:
            if not 0 <= number <= _MOST[key]:
                raise ValueError(f"{self._architecture}.{key} is {number}")
        return numbers


def _bytes_by_layer(tensors: Iterable[Tensor], layers: int) -> tuple[int, ...]:
    found = [0] * layers
    for tensor in tensors:
        if place := re.match(r"blk\.(\d{1,9})\.", tensor.name):
            if int(place[1]) >= layers:
                raise ValueError(f"it has a tensor {tensor.name}, and {layers} layers")
            found[int(place[1])] += tensor.bytes
    return tuple(found)


def _state_bytes(says: _Said, kv_heads: tuple[int, ...]) -> int:
    """What a sequence's state takes: of the layers without attention, or of all where each layer has both."""
    inner, state = says.number("ssm.inner_size"), says.number("ssm.state_size")
    recurrent = kv_heads.count(0) or len(kv_heads)
    convolved = max(says.number("ssm.conv_kernel") - 1, 0) * (inner + 2 * says.number("ssm.group_count") * state)
    return recurrent * math.prod((4, inner * state + convolved))  # of 4 bytes each
