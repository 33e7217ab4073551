"""Tiny models whose memory is not a plain KV cache: one with sliding windows, one that is recurrent."""

from pathlib import Path
from typing import Final

import gguf
import numpy as np

from tests.gguf_builder import vocabulary

WINDOW: Final = 16
_WIDTH, _LAYERS, _HEADS = 32, 4, 2


def write_windowed(path: Path) -> Path:
    """Writes a model in which three of every four layers see only the last `WINDOW` tokens (Cohere 2)."""
    writer = _begin(path, "cohere2")
    writer.add_feed_forward_length(2 * _WIDTH)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_eps(1e-5)
    writer.add_sliding_window(WINDOW)
    writer.add_logit_scale(1.0)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    tensors = {"attn_q": (_WIDTH, _WIDTH), "attn_k": (_WIDTH, _WIDTH), "attn_v": (_WIDTH, _WIDTH)}
    tensors |= {"attn_output": (_WIDTH, _WIDTH), "ffn_gate": (2 * _WIDTH, _WIDTH)}
    tensors |= {"ffn_up": (2 * _WIDTH, _WIDTH), "ffn_down": (_WIDTH, 2 * _WIDTH)}
    return _end(writer, path, tensors, {})


def write_recurrent(path: Path) -> Path:
    """Writes a model with a state instead of cells (Mamba)."""
    inner, state, rank, kernel = 2 * _WIDTH, 8, 4, 4
    writer = _begin(path, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    tensors = {"ssm_in": (2 * inner, _WIDTH), "ssm_conv1d": (inner, kernel), "ssm_x": (rank + 2 * state, inner)}
    tensors |= {"ssm_dt": (inner, rank), "ssm_out": (_WIDTH, inner)}
    decay = -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1))
    ones, zeros = np.ones(inner, np.float32), np.zeros(inner, np.float32)
    fixed = {"ssm_a": decay, "ssm_d": ones, "ssm_conv1d.bias": zeros, "ssm_dt.bias": zeros}
    return _end(writer, path, tensors, fixed)


def _begin(path: Path, architecture: str) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    tokens, scores, types = vocabulary()
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    return writer


def _end(
    writer: gguf.GGUFWriter, path: Path, tensors: dict[str, tuple[int, int]], fixed: dict[str, np.ndarray]
) -> Path:
    rng = np.random.default_rng(0)
    writer.add_tensor("token_embd.weight", rng.standard_normal((len(vocabulary()[0]), _WIDTH)).astype(np.float32))
    writer.add_tensor("output_norm.weight", np.ones(_WIDTH, np.float32))
    for layer in range(_LAYERS):
        block = f"blk.{layer}."
        writer.add_tensor(f"{block}attn_norm.weight", np.ones(_WIDTH, np.float32))
        for name, shape in tensors.items():
            writer.add_tensor(f"{block}{name}.weight", (rng.standard_normal(shape) * 0.3).astype(np.float32))
        for name, values in fixed.items():
            full = name if name.endswith("bias") or name in {"ssm_a", "ssm_d"} else f"{name}.weight"
            writer.add_tensor(block + full, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
