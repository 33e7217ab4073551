"""Writes GGUF files in the shapes of real models, with holes for weights: sparse files that take no disk space.

Code that reads only the header, such as estimates and dry runs, sees the sizes of the real models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

from tests.gguf_builder import NORMAL, vocabulary


@dataclass(frozen=True)
class Real:
    """Sizes of a published model; `head` is the length of a key or value, 0 for `width / heads`."""

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int = 32_000
    context: int = 32_768
    head: int = 0
    window: int = 0
    tied: bool = False
    biased: bool = False
    more: Mapping[str, int] = field(default_factory=dict)

    @property
    def head_length(self) -> int:
        return self.head or self.width // self.heads


REAL = {
    "qwen2.5-0.5b": Real("qwen2", 24, 896, 4864, 14, 2, vocabulary=151_936, tied=True, biased=True),
    "tinyllama-1.1b": Real("llama", 22, 2048, 5632, 32, 4, context=2048),
    "qwen2.5-3b": Real("qwen2", 36, 2048, 11_008, 16, 2, vocabulary=151_936, tied=True, biased=True),
    "mistral-7b": Real("llama", 32, 4096, 14_336, 32, 8),
    "gemma2-2b": Real(
        "gemma2", 26, 2304, 9216, 8, 4, vocabulary=64_000, context=8192, head=256, window=4096, tied=True
    ),
    "gemma3-1b": Real("gemma3", 26, 1152, 6912, 4, 1, vocabulary=64_000, head=256, window=512, tied=True),
}
"""Gemma's vocabulary is smaller than the real one, to keep the files small."""


def write_shape(path: Path, real: Real, kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q4_0) -> Path:
    """Writes a model of this shape with matrices of this type."""
    writer = gguf.GGUFWriter(path, real.architecture)
    _describe(writer, real)
    _tokens(writer, real.vocabulary)
    at = 0
    for name, shape in _tensors(real):
        matrix = len(shape) > 1
        raw = kind if matrix else gguf.GGMLQuantizationType.F32
        size = _bytes_of(shape, raw)
        stored = gguf.quant_shape_to_byte_shape(shape, raw) if matrix and raw.value > 1 else shape
        dtype = np.dtype({0: np.float32, 1: np.float16}.get(raw.value, np.uint8))
        writer.add_tensor_info(name, stored, dtype, size, raw_dtype=raw)
        at += -(-size // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    head = -(-path.stat().st_size // 32) * 32
    with path.open("r+b") as file:
        file.truncate(head + at)
    return path


def _describe(writer: gguf.GGUFWriter, real: Real) -> None:
    writer.add_name("a shape")
    writer.add_context_length(real.context)
    writer.add_embedding_length(real.width)
    writer.add_block_count(real.layers)
    writer.add_feed_forward_length(real.feed_forward)
    writer.add_head_count(real.heads)
    writer.add_head_count_kv(real.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(real.head_length)
    writer.add_key_length(real.head_length)
    writer.add_value_length(real.head_length)
    if real.window:
        writer.add_sliding_window(real.window)
    for key, value in real.more.items():
        writer.add_uint32(f"{real.architecture}.{key}", value)


def _tokens(writer: gguf.GGUFWriter, count: int) -> None:
    tokens, scores, types = vocabulary()
    more = range(len(tokens), count)
    writer.add_vocab_size(count)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*tokens, *(f"token {number}" for number in more)])
    writer.add_token_scores([*scores, *(-1000.0 for _ in more)])
    writer.add_token_types([*types, *(NORMAL for _ in more)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))


def _tensors(real: Real) -> Iterator[tuple[str, tuple[int, ...]]]:
    gemma = real.architecture.startswith("gemma")
    queries, keys = real.heads * real.head_length, real.kv_heads * real.head_length
    yield "token_embd.weight", (real.vocabulary, real.width)
    for layer in range(real.layers):
        block = f"blk.{layer}."
        norms = ("attn_norm", "ffn_norm", *(("post_attention_norm", "post_ffw_norm") if gemma else ()))
        yield from ((f"{block}{norm}.weight", (real.width,)) for norm in norms)
        if real.architecture == "gemma3":
            yield from ((f"{block}attn_{one}_norm.weight", (real.head_length,)) for one in "qk")
        for part, rows in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{block}attn_{part}.weight", (rows, real.width)
            if real.biased:
                yield f"{block}attn_{part}.bias", (rows,)
        yield f"{block}attn_output.weight", (real.width, queries)
        yield f"{block}ffn_gate.weight", (real.feed_forward, real.width)
        yield f"{block}ffn_up.weight", (real.feed_forward, real.width)
        yield f"{block}ffn_down.weight", (real.width, real.feed_forward)
    yield "output_norm.weight", (real.width,)
    if not real.tied:
        yield "output.weight", (real.vocabulary, real.width)


def _bytes_of(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = 1
    for length in shape:
        count *= length
    return count // block * size
