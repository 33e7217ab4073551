"""Writes tiny GGUF files: models that llama.cpp loads, adapters for them, and broken files.

The models have random weights, so their text is noise; everything else about them is real. The same seed gives the same
file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
WORDS = ("the", "a", "of", "answer", "question", "page", "pump", "valve", "is", "are", "not", "bar", "open", "closed")
CONTROL_TEXTS = ("<|im_start|>", "<|im_end|>", "<|system|>")


@dataclass(frozen=True)
class Shape:
    """Sizes of a tiny llama."""

    layers: int = 2
    width: int = 64
    feed_forward: int = 128
    heads: int = 4
    kv_heads: int = 2
    context: int = 512


def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types of a small SentencePiece vocabulary: all bytes, ASCII, a few words, control tokens."""
    tokens = ["<unk>", "<s>", "</s>"]
    types = [UNKNOWN, CONTROL, CONTROL]
    scores = [0.0, 0.0, 0.0]

    def add(texts: Iterable[str], kind: int, score: float) -> None:
        for text in texts:
            tokens.append(text)
            types.append(kind)
            scores.append(score)

    add((f"<0x{byte:02X}>" for byte in range(256)), BYTE, 0.0)
    add(("▁", *(chr(code) for code in range(33, 127))), NORMAL, -100.0)
    for at, word in enumerate(WORDS):
        spelled = "▁" + word
        add((spelled[:end] for end in range(2, len(spelled) + 1) if spelled[:end] not in tokens), NORMAL, -float(at))
    add(CONTROL_TEXTS, CONTROL, 0.0)
    return tokens, scores, types


def write_model(
    path: Path,
    *,
    shape: Shape = Shape(),
    seed: int = 0,
    template: str | None = None,
    architecture: str = "llama",
    tensors: bool = True,
    without: str = "",
    tokenizer: bool = True,
    name: str = "tiny",
    licence: str | None = "apache-2.0",
) -> Path:
    """Writes a llama with random weights: only its vocabulary if `tensors` is False, all but the tensor `without`."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    if licence:
        writer.add_license(licence)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    tokens, scores, types = vocabulary()
    writer.add_vocab_size(len(tokens))
    if tokenizer:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(tokens.index("<|im_end|>"))
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(True)
    if template is not None:
        writer.add_chat_template(template)
    if tensors:
        _add_weights(writer, shape, len(tokens), seed, without)
    _close(writer)
    return path


def write_adapter(
    path: Path,
    *,
    shape: Shape = Shape(),
    seed: int = 1,
    rank: int = 4,
    strength: float = 0.5,
    architecture: str = "llama",
    width: int | None = None,
) -> Path:
    """Writes a LoRA adapter for the model of this shape, on the queries and `ffn_down` of every layer."""
    rng = np.random.default_rng(seed)
    size = width or shape.width
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for layer in range(shape.layers):
        for part in ("attn_q", "ffn_down"):
            into = shape.feed_forward if part == "ffn_down" else size
            tensor = f"blk.{layer}.{part}.weight"
            writer.add_tensor(f"{tensor}.lora_a", _random(rng, (rank, into)) * strength)
            writer.add_tensor(f"{tensor}.lora_b", _random(rng, (size, rank)) * strength)
    _close(writer)
    return path


def write_garbage(path: Path, size: int = 4096) -> Path:
    """Writes random bytes that are no GGUF."""
    path.write_bytes(np.random.default_rng(5).bytes(size))
    return path


def write_truncated(path: Path, keep: float = 0.5) -> Path:
    """Writes the first `keep` (0 to 1) of a model."""
    whole = write_model(path).read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def _add_weights(writer: gguf.GGUFWriter, shape: Shape, vocabulary_size: int, seed: int, without: str) -> None:
    rng = np.random.default_rng(seed)

    def add(name: str, values: np.ndarray) -> None:
        if name != without:
            writer.add_tensor(name, values)

    width, head = shape.width, shape.width // shape.heads
    add("token_embd.weight", _random(rng, (vocabulary_size, width)))
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        add(block + "attn_norm.weight", np.ones(width, np.float32))
        add(block + "ffn_norm.weight", np.ones(width, np.float32))
        for part, rows in (("q", width), ("k", shape.kv_heads * head), ("v", shape.kv_heads * head)):
            add(f"{block}attn_{part}.weight", _random(rng, (rows, width)))
        add(block + "attn_output.weight", _random(rng, (width, width)))
        add(block + "ffn_gate.weight", _random(rng, (shape.feed_forward, width)))
        add(block + "ffn_up.weight", _random(rng, (shape.feed_forward, width)))
        add(block + "ffn_down.weight", _random(rng, (width, shape.feed_forward)))
    add("output_norm.weight", np.ones(width, np.float32))
    add("output.weight", _random(rng, (vocabulary_size, width)))


def _random(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return (rng.standard_normal(size) * 0.3).astype(np.float32)


def _close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
