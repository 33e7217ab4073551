"""Writes LoRA adapters in PEFT's format, and broken ones, with numpy alone."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.gguf_builder import Shape

TINY = Shape()
Tensors = dict[str, NDArray[Any]]
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "tiny",
    "r": 4,
    "lora_alpha": 8,
    "bias": "none",
    "target_modules": ["q_proj", "k_proj", "down_proj"],
    "modules_to_save": None,
    "use_dora": False,
    "use_rslora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "init_lora_weights": True,
}
_TYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "uint16": "BF16", "int64": "I64"}


def tensors(shape: Shape = TINY, *, rank: int = 4, seed: int = 3, layers: int | None = None) -> Tensors:
    """Random LoRA factors for the queries, keys and down projections of every layer, under PEFT's names."""
    rng = np.random.default_rng(seed)
    kv = shape.width // shape.heads * shape.kv_heads
    sizes = {
        "self_attn.q_proj": (shape.width, shape.width),
        "self_attn.k_proj": (shape.width, kv),
        "mlp.down_proj": (shape.feed_forward, shape.width),
    }
    found: Tensors = {}
    for layer in range(shape.layers if layers is None else layers):
        for module, (into, out) in sizes.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            found[f"{name}.lora_A.weight"] = rng.standard_normal((rank, into)).astype(np.float32)
            found[f"{name}.lora_B.weight"] = rng.standard_normal((out, rank)).astype(np.float32)
    return found


def safetensors(values: Mapping[str, NDArray[Any]], **head: object) -> bytes:
    """The bytes of a safetensors file; `head` adds or replaces header entries. uint16 stands for bfloat16."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in values.items():
        raw = array.tobytes()
        entries[name] = {
            "dtype": _TYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps({**entries, **head}).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_peft(folder: Path, values: Mapping[str, NDArray[Any]] | None = None, **config: object) -> Path:
    """Writes both files into the folder; `config` overrides entries of adapter_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors() if values is None else values))
    return folder
