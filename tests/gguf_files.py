"""GGUF files with a real model's shape and no weights: the tensors and their types as llama.cpp's quantizer makes them,
written sparse, so that a file of 40 GB takes a few kB.

The rules are those of llama.cpp's `llama-quant.cpp` for the quantizations of the catalog.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gguf as reference
import numpy as np
from gguf import GGMLQuantizationType as Type

from ingle_daemon.models.shape import Architecture

__all__ = ["Tensor", "stored_bytes", "tensors", "write"]

TOKENIZER_BYTES = 40
"""A token's share of the header: its text, its type, its merges (Qwen2.5: 39, Llama 3: 61, Gemma 3: 25)."""

BASE = {
    "Q8_0": Type.Q8_0,
    "Q6_K": Type.Q6_K,
    "Q5_K_M": Type.Q5_K,
    "Q4_K_M": Type.Q4_K,
    "Q4_K_S": Type.Q4_K,
    "Q4_1": Type.Q4_1,
    "Q3_K_M": Type.Q3_K,
    "Q2_K": Type.Q2_K,
}
FALLBACK = {Type.Q6_K: Type.Q8_0, Type.Q5_K: Type.Q5_1, Type.Q4_K: Type.Q5_0} | dict.fromkeys(
    (Type.Q3_K, Type.Q2_K), Type.IQ4_NL
)
"""Where rows are no multiple of the 256 values of a K-quant's block."""


class Tensor(NamedTuple):
    name: str
    dims: tuple[int, ...]
    """As GGUF has them: the length of a row first."""
    kind: Any

    @property
    def bytes(self) -> int:
        values, size = reference.GGML_QUANT_SIZES[self.kind]
        return math.prod(self.dims) // int(values) * int(size)


def tensors(architecture: Architecture, quant: str) -> list[Tensor]:
    """Every tensor of the model in that quantization."""
    a = architecture
    table = (a.embedding, a.vocabulary)
    out = BASE[quant] if quant == "Q8_0" else Type.Q6_K
    found = [
        _matrix("token_embd.weight", table, out if a.tied else BASE[quant]),
        *_vectors("output_norm", a.embedding, biased=a.name == "starcoder2"),
    ]
    if not a.tied:
        found.append(_matrix("output.weight", table, out))
    if a.name == "phi3":
        found += [Tensor(f"rope_factors_{x}.weight", (a.head_length * 3 // 8,), Type.F32) for x in ("long", "short")]
    for layer in range(a.layers):
        found += [_placed(tensor, layer) for tensor in _layer(a, quant, layer)]
    return found


def stored_bytes(architecture: Architecture, quant: str) -> int:
    """The size of such a file, its tokenizer included."""
    return sum(tensor.bytes for tensor in tensors(architecture, quant)) + TOKENIZER_BYTES * architecture.vocabulary


def write(path: Path, architecture: Architecture, quant: str, *, tokens: bool = False) -> Path:
    """Such a file, without a tokenizer; with `tokens` the names of tokens are in it, as long as real ones are."""
    writer = reference.GGUFWriter(path, architecture.name)
    _add_numbers(writer, architecture)
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"{index:07x}" for index in range(architecture.vocabulary)])
    else:
        writer.add_tokenizer_model("no_vocab")
    everything = tensors(architecture, quant)
    for tensor in everything:
        # the writer wants shape and size alone: an array of one byte, repeated by strides of 0, takes no memory
        values, size = reference.GGML_QUANT_SIZES[tensor.kind]
        rows = (*reversed(tensor.dims[1:]), tensor.dims[0] // values * size)
        writer.add_tensor_info(tensor.name, rows, np.dtype(np.uint8), tensor.bytes, raw_dtype=tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        start = -(-file.seek(0, 2) // 32) * 32
        file.truncate(start + sum(-(-tensor.bytes // 32) * 32 for tensor in everything))
    return path


def _add_numbers(writer: Any, a: Architecture) -> None:
    writer.add_block_count(a.layers)
    writer.add_context_length(a.context)
    writer.add_embedding_length(a.embedding)
    writer.add_feed_forward_length(a.feed_forward)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_key_length(a.head_length)
    writer.add_value_length(a.head_length)
    writer.add_rope_dimension_count(a.head_length * 3 // 4 if a.name == "phi3" else a.head_length)
    writer.add_vocab_size(a.vocabulary)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-6)
    if a.window:
        writer.add_sliding_window(a.window)
    if a.experts:
        writer.add_expert_count(a.experts)
        writer.add_expert_used_count(a.experts_used)
        writer.add_expert_feed_forward_length(a.feed_forward)
    if a.name == "granite":
        writer.add_embedding_scale(12.0)
        writer.add_residual_scale(0.22)
        writer.add_attention_scale(0.0156)
        writer.add_logit_scale(10.0)


# --- one layer -------------------------------------------------------------------------------------------


def _layer(a: Architecture, quant: str, layer: int) -> Iterator[Tensor]:
    biased = a.name == "starcoder2"
    yield from _vectors("attn_norm", a.embedding, biased=biased)
    yield from _attention(a, quant, layer)
    yield from _vectors("ffn_norm", a.embedding, biased=biased)
    if a.name == "gemma3":
        yield from _vectors("post_attention_norm", a.embedding)
        yield from _vectors("post_ffw_norm", a.embedding)
    yield from _feed_forward(a, quant, layer)


def _attention(a: Architecture, quant: str, layer: int) -> Iterator[Tensor]:
    base, q, kv = BASE[quant], a.heads * a.head_length, a.kv_heads * a.head_length
    if a.name == "phi3":
        fused = {"Q5_K_M": Type.Q6_K, "Q4_K_M": Type.Q5_K, "Q3_K_M": Type.Q4_K}
        yield _matrix("attn_qkv.weight", (a.embedding, q + 2 * kv), fused.get(quant, base))
    else:
        yield _matrix("attn_q.weight", (a.embedding, q), base)
        yield _matrix("attn_k.weight", (a.embedding, kv), base)
        yield _matrix("attn_v.weight", (a.embedding, kv), _value_type(a, quant, layer))
    if a.name in ("qwen2", "starcoder2"):
        yield from (Tensor(f"attn_{x}.bias", (size,), Type.F32) for x, size in (("q", q), ("k", kv), ("v", kv)))
    if a.name in ("qwen3", "qwen3moe", "gemma3"):
        yield from _vectors("attn_q_norm", a.head_length)
        yield from _vectors("attn_k_norm", a.head_length)
    yield _matrix("attn_output.weight", (q, a.embedding), {"Q3_K_M": Type.Q4_K, "Q2_K": Type.Q3_K}.get(quant, base))
    if a.name == "starcoder2":
        yield Tensor("attn_output.bias", (a.embedding,), Type.F32)


def _feed_forward(a: Architecture, quant: str, layer: int) -> Iterator[Tensor]:
    base, down = BASE[quant], _down_type(a, quant, layer)
    wide, narrow = (a.embedding, a.feed_forward), (a.feed_forward, a.embedding)
    if a.experts:
        yield Tensor("ffn_gate_inp.weight", (a.embedding, a.experts), Type.F32)
        yield _matrix("ffn_gate_exps.weight", (*wide, a.experts), base)
        yield _matrix("ffn_up_exps.weight", (*wide, a.experts), base)
        yield _matrix("ffn_down_exps.weight", (*narrow, a.experts), down)
    elif a.name == "phi3":
        yield _matrix("ffn_up.weight", (a.embedding, 2 * a.feed_forward), base)
        yield _matrix("ffn_down.weight", narrow, down)
    else:
        if a.name != "starcoder2":
            yield _matrix("ffn_gate.weight", wide, base)
        yield _matrix("ffn_up.weight", wide, base)
        yield _matrix("ffn_down.weight", narrow, down)
    if a.name == "starcoder2":
        yield Tensor("ffn_up.bias", (a.feed_forward,), Type.F32)
        yield Tensor("ffn_down.bias", (a.embedding,), Type.F32)


def _value_type(a: Architecture, quant: str, layer: int) -> Any:
    found = BASE[quant]
    if quant == "Q2_K":
        found = Type.Q4_K if a.heads // a.kv_heads >= 4 else Type.Q3_K
    elif quant == "Q3_K_M":
        found = Type.Q5_K if layer < 2 else Type.Q4_K
    elif quant in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, a.layers):
        found = Type.Q6_K
    elif quant == "Q4_K_S" and layer < 4:
        found = Type.Q5_K
    if a.name == "llama" and a.layers == 80 and found in (Type.Q3_K, Type.Q4_K):
        return Type.Q5_K  # llama.cpp's exception for the 70B, whose values eight heads share
    return found


def _down_type(a: Architecture, quant: str, layer: int) -> Any:
    if quant == "Q2_K":
        return Type.Q3_K
    if quant == "Q3_K_M":
        return Type.Q5_K if layer < a.layers // 16 else Type.Q4_K
    if quant in ("Q4_K_M", "Q5_K_M") and _more_bits(layer, a.layers):
        return Type.Q6_K
    if quant == "Q4_K_S" and layer < a.layers // 8:
        return Type.Q5_K
    return BASE[quant]


def _more_bits(layer: int, layers: int) -> bool:
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _matrix(name: str, dims: tuple[int, ...], kind: Any) -> Tensor:
    values, _ = reference.GGML_QUANT_SIZES[kind]
    return Tensor(name, dims, kind if dims[0] % values == 0 else FALLBACK[kind])


def _vectors(name: str, size: int, *, biased: bool = False) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (size,), Type.F32)
    if biased:
        yield Tensor(f"{name}.bias", (size,), Type.F32)


def _placed(tensor: Tensor, layer: int) -> Tensor:
    return tensor._replace(name=f"blk.{layer}.{tensor.name}")
