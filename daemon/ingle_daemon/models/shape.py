"""What of a model decides how much memory it takes: its layers, its heads, and how many bytes each part is.

A GGUF's header says it exactly (`gguf.py`); for a model that is not here, the catalog's numbers give an estimate.
Frozen values; this module knows neither files nor machines.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["STEADY", "Architecture", "Shape", "estimated"]

Count = Annotated[int, msgspec.Meta(gt=0, lt=2**40)]

_BITS = {
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_K": 5.5,
    "Q4_K": 4.5,
    "Q3_K": 3.4375,
    "Q2_K": 2.625,
    "Q5_1": 6.0,
    "Q5_0": 5.5,
    "Q4_1": 5.0,
    "Q4_0": 4.5,
}
"""Bits of a weight, by ggml's type. A quantization is named after the type that most of its tensors have."""
_UNKNOWN_BITS = 16.0
STEADY = {"F32": 0, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q8_0": 8}
"""The types, and ggml's numbers for them, whose products on a CPU `engine/opening.py` found to be the same whatever the
batch: on an AMD with AVX2 and on an Intel with AVX-512."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's numbers as its config.json has them."""

    name: str
    """What llama.cpp calls it: "llama", "qwen2"."""
    layers: Count
    embedding: Count
    feed_forward: Count
    """Of one expert where there are several."""
    heads: Count
    kv_heads: Count
    head_length: Count
    vocabulary: Count
    context: Count
    """Tokens that it was trained for."""
    window: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Tokens that a layer with a sliding window looks back; 0: it has none."""
    experts: Annotated[int, msgspec.Meta(ge=0)] = 0
    experts_used: Annotated[int, msgspec.Meta(ge=0)] = 0
    tied: bool = False
    """The output layer has the embedding's weights."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A model as the fit planner sees it."""

    architecture: str
    layers: int
    embedding: int
    feed_forward: int
    heads: int
    kv_heads: tuple[int, ...]
    """Of each layer; 0 where a layer has no attention."""
    key_length: int
    value_length: int
    vocabulary: int
    context: int
    window: int = 0
    experts: int = 0
    experts_used: int = 0
    state_bytes: int = 0
    """What a sequence's recurrent state takes, in models that have one."""
    layer_bytes: tuple[int, ...]
    """The weights of each layer."""
    output_bytes: int
    """The weights behind the last layer."""
    embedding_bytes: int
    """The weights before the first layer. llama.cpp keeps them in RAM, whatever is on the GPU."""
    shared_bytes: int = 0
    """Of the output layer, what are the embedding's weights: there once in RAM, and once more on a GPU that has it."""
    steady: bool = False
    """On a CPU llama.cpp should multiply all weights in one way whatever the batch. A load finds out if it does."""

    @property
    def stored_bytes(self) -> int:
        """All weights, as they lie in the file."""
        return sum(self.layer_bytes) + self.embedding_bytes + self.output_bytes - self.shared_bytes


def estimated(architecture: Architecture, quant: str, size_bytes: int) -> Shape:
    """The shape of a file that is not here, from its quantization's name and its size."""
    table = architecture.vocabulary * architecture.embedding
    kind = quant.removesuffix("_M").removesuffix("_S")
    bits = _BITS.get(kind, _UNKNOWN_BITS)
    least = _BITS["Q8_0" if architecture.embedding % 256 else "Q6_K"]  # the output layer is quantized less
    output = int(table * max(bits, least) / 8)
    embedding = output if architecture.tied else int(table * bits / 8)
    stored = embedding if architecture.tied else embedding + output
    layer = max(size_bytes - stored, 0) // architecture.layers
    return Shape(
        architecture=architecture.name,
        layers=architecture.layers,
        embedding=architecture.embedding,
        feed_forward=architecture.feed_forward,
        heads=architecture.heads,
        kv_heads=(architecture.kv_heads,) * architecture.layers,
        key_length=architecture.head_length,
        value_length=architecture.head_length,
        vocabulary=architecture.vocabulary,
        context=architecture.context,
        window=architecture.window,
        experts=architecture.experts,
        experts_used=architecture.experts_used,
        layer_bytes=(layer,) * architecture.layers,
        output_bytes=output,
        embedding_bytes=embedding,
        shared_bytes=output if architecture.tied else 0,
        steady=kind in STEADY,
    )
