"""A tiny recurrent model with random weights: it says nothing, and its state cannot be taken back to a token."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, INNER, STATE, RANK, CONV, LAYERS = 64, 128, 16, 8, 4, 2


def write(target: Path, tokenizer_of: Path) -> Path:
    """Mamba's architecture with another model's tokenizer."""
    from gguf import GGUFReader, GGUFWriter  # takes longer than most tests, and few need it

    writer = GGUFWriter(target, "mamba")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(LAYERS)
    writer.add_ssm_conv_kernel(CONV)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    fields = GGUFReader(tokenizer_of).fields
    for name, field in fields.items():
        if name.startswith("tokenizer.") and "chat" not in name:
            sub_type = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub_type)
    for name, tensor in _tensors(len(fields["tokenizer.ggml.tokens"].contents())).items():
        writer.add_tensor(name, tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _tensors(vocabulary: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors = {
        "token_embd.weight": rng.standard_normal((vocabulary, WIDTH)),
        "output_norm.weight": np.ones(WIDTH),
        "output.weight": rng.standard_normal((vocabulary, WIDTH)) / 2,
    }
    for layer in range(LAYERS):
        block = {
            "attn_norm.weight": np.ones(WIDTH),
            "ssm_in.weight": rng.standard_normal((2 * INNER, WIDTH)) * 0.3,
            "ssm_conv1d.weight": rng.standard_normal((INNER, CONV)) * 0.5,
            "ssm_conv1d.bias": rng.standard_normal(INNER) * 0.3,
            "ssm_x.weight": rng.standard_normal((RANK + 2 * STATE, INNER)) * 0.3,
            "ssm_dt.weight": rng.standard_normal((INNER, RANK)) * 0.3,
            "ssm_dt.bias": np.full(INNER, -1.0),
            "ssm_a": -np.tile(np.linspace(0.05, 1, STATE), (INNER, 1)),
            "ssm_d": np.ones(INNER),
            "ssm_out.weight": rng.standard_normal((WIDTH, INNER)) * 0.3,
        }
        tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in block.items()}
    return tensors
