"""Computes from a GGUF's head how a model's memory spreads over its layers: weights, KV cache, recurrent state. Pure.

Rule: follows what llama.cpp does with each architecture, as far as the head states it. Where an architecture differs,
the dry run, which is llama.cpp itself, has the last word.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from models.formats.gguf_reader import Array, GgufDirectory, Value

INPUT: Final = -1
"""The layer number of the embeddings; the output's number follows that of the last layer."""

_BLOCK: Final = re.compile(r"blk\.(\d{1,5})\.")
_VECTORS: Final = re.compile(r"norm|bias$|scale$|\.ssm_(a|d|dt|conv1d)|rope_|_sinks")  # never repacked

# Every n-th layer sees the whole context, the others a window; from src/models/*.cpp of llama.cpp. `True`: the first of
# each n layers sees it, not the last. An architecture that is missing keeps the whole context whatever its head says,
# or states its pattern in the head.
_PATTERNS: Final[Mapping[str, tuple[int, bool]]] = {
    "afmoe": (4, False),
    "cohere2": (4, False),
    "cohere2moe": (4, True),
    "exaone-moe": (4, False),
    "exaone4": (4, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "laguna": (4, True),
    "llama4": (4, False),
    "mellum": (4, False),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}
_OWN_PATTERN: Final = frozenset(
    {"gemma4", "lfm2", "lfm2moe", "mimo2", "step35", "granite-swa", "dots3note", *_PATTERNS}
)
_FULL_EVERY: Final = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}  # the other layers have a state instead of KV
_STATE_TOO: Final = frozenset({"falcon-h1"})  # each layer has KV and a state
_CELLS_MULTIPLE: Final = 256  # llama.cpp rounds the cells of a cache up to this


class Weights(NamedTuple):
    """The `tensors` of one type in one layer, `size` bytes in total; `matrix` if llama.cpp may repack them."""

    layer: int
    type: str
    matrix: bool
    tensors: int
    size: int


class LayerCache(NamedTuple):
    """The cache of one layer: `values` per cell of KV, and `state` values of 4 bytes for each sequence.

    With a `window`, only the cells that it and the batch need; 0 means the whole context.
    """

    values: int
    window: int
    state: int


def weights_by_layer(head: GgufDirectory, layers: int) -> tuple[Weights, ...]:
    """Group all tensors by layer and type; the output's have the layer number `layers`."""
    groups: dict[tuple[int, str, bool], list[int]] = defaultdict(list)
    for tensor in head.tensors:
        matrix = len(tensor.shape) > 1 and not _VECTORS.search(tensor.name) and tensor.shape[1] % 8 == 0
        groups[_layer(tensor.name, layers), tensor.type, matrix].append(tensor.size)
    return tuple(Weights(*key, len(sizes), sum(sizes)) for key, sizes in sorted(groups.items()))


def cache_by_layer(
    architecture: str, metadata: Mapping[str, Value], kv_heads: Sequence[int], lengths: tuple[int, int], width: int
) -> tuple[LayerCache, ...]:
    """The cache of each layer; `lengths` of a head's key and value, `width` of the embeddings."""
    look = _Look(architecture, metadata)
    layers = len(kv_heads)
    window = look.number("attention.sliding_window", 8192 if architecture == "llama4" else 0)
    windowed = _windowed(architecture, look, layers) if window else [False] * layers
    with_kv = layers - look.number(
        "attention.shared_kv_layers", max(0, layers - 20) if architecture == "gemma3n" else 0
    )
    state, every = _state(look, width), look.number("full_attention_interval", _FULL_EVERY.get(architecture, 0))
    caches = []
    for layer, heads in enumerate(kv_heads):
        full = not every or (layer + 1) % every == 0
        key, value = look.lengths(lengths, windowed=windowed[layer])
        values = heads * (key + value) if full and layer < with_kv else 0
        stateful = not full or not heads or architecture in _STATE_TOO
        caches.append(LayerCache(values, window if windowed[layer] else 0, state if stateful else 0))
    return tuple(caches)


def cells_of(context: int, window: int, parallel: int, batch: int) -> int:
    """Number of cells in a layer's KV cache when all sequences share `context` tokens."""
    cells = _padded(context)
    return min(cells, _padded(window * parallel + batch)) if window else cells


def _padded(cells: int) -> int:
    return -(-cells // _CELLS_MULTIPLE) * _CELLS_MULTIPLE


def _layer(name: str, layers: int) -> int:
    if match := _BLOCK.match(name):
        return min(int(match[1]), layers)
    return layers if name.startswith("output") else INPUT


def _windowed(architecture: str, look: "_Look", layers: int) -> list[bool]:
    if architecture not in _OWN_PATTERN:
        return [False] * layers
    stated = look.get("attention.sliding_window_pattern")
    if isinstance(stated, Array) and len(stated.values) >= layers:
        return [bool(value) for value in stated.values[:layers]]
    period, first = _PATTERNS.get(architecture, (1, False))
    if isinstance(stated, int) and not isinstance(stated, bool):
        period = stated
    if period <= 0:
        return [True] * layers
    return [layer % period != (0 if first else period - 1) for layer in range(layers)]


def _state(look: "_Look", width: int) -> int:
    """Number of values in a recurrent layer's state, for each sequence."""
    if head_size := look.number("wkv.head_size"):
        return width * (look.number("token_shift_count", 2) + head_size)
    if short := look.number("shortconv.l_cache"):
        return width * (short - 1)
    inner, size = look.number("ssm.inner_size"), look.number("ssm.state_size")
    convolution = max(0, look.number("ssm.conv_kernel") - 1) * (inner + 2 * look.number("ssm.group_count") * size)
    return convolution + inner * size


class _Look:
    """Lenient access to an architecture's metadata: an invalid value counts as missing."""

    def __init__(self, architecture: str, metadata: Mapping[str, Value]) -> None:
        self._prefix = architecture
        self._metadata = metadata

    def get(self, key: str) -> Value | None:
        return self._metadata.get(f"{self._prefix}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        value = self.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else default

    def lengths(self, usual: tuple[int, int], *, windowed: bool) -> tuple[int, int]:
        """Lengths of a head's key and value. Compressed attention (MLA) stores no values beside its keys."""
        if self.number("attention.key_length_mla"):
            return usual[0], 0
        if windowed:
            return (
                self.number("attention.key_length_swa", usual[0]),
                self.number("attention.value_length_swa", usual[1]),
            )
        return usual
