"""Reads how a GGUF file describes its model.

Rule: a file that this version of Docent cannot use as a model is refused here, with a reason, before it is copied.
"""

import importlib.util
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import gguf

from models.errors import InvalidModelFile
from models.formats.gguf_layers import LayerCache, Weights, cache_by_layer, weights_by_layer
from models.formats.gguf_reader import Array, GgufDirectory, Tensor, Value, read_directory

# Architectures known to llama.cpp that do not generate text.
_NOT_GENERATIVE: Final = re.compile(r"bert|embed|t5encoder|^t5$|^clip$|wavtokenizer|pockettts|unknown|rnd1|^mmproj$")


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The description in a model's file. `_bytes` in bytes; `weights` and `cache` by layer, see `gguf_layers`."""

    architecture: str
    name: str
    context_length: int
    layers: int
    embedding_length: int
    heads: int
    kv_heads: tuple[int, ...]
    key_length: int
    value_length: int
    sliding_window: int
    vocab_size: int
    tokenizer: str
    quantisation: str
    licence: str
    chat_template: str | None
    parameters: int
    weight_bytes: int
    file_bytes: int
    feed_forward_length: int
    weights: tuple[Weights, ...]
    cache: tuple[LayerCache, ...]

    def __post_init__(self) -> None:
        """Restore the tuples that JSON turns into lists. Raises TypeError or ValueError for anything else."""
        object.__setattr__(self, "weights", tuple(Weights(*row) for row in self.weights))
        object.__setattr__(self, "cache", tuple(LayerCache(*map(int, row)) for row in self.cache))


def read_header(path: Path) -> GgufHeader:
    """Read the head. Raises InvalidModelFile if the file is not a complete model that llama.cpp can answer with."""
    return describe(read_directory(path))


def describe(head: GgufDirectory) -> GgufHeader:
    """As `read_header`, for a head that has been read already."""
    fields = _Fields(head)
    architecture = fields.text("general.architecture")
    fields.check_kind(architecture)
    width = fields.number(f"{architecture}.embedding_length")
    heads = fields.per_layer(f"{architecture}.attention.head_count", ())
    layers = fields.number(f"{architecture}.block_count")
    head_length = width // max(1, max(heads, default=1))
    kv_heads = _stretch(fields.per_layer(f"{architecture}.attention.head_count_kv", heads), layers)
    key_length = fields.number(f"{architecture}.attention.key_length", head_length)
    value_length = fields.number(f"{architecture}.attention.value_length", head_length)
    return GgufHeader(
        architecture=architecture,
        name=fields.text("general.name", head.path.stem),
        context_length=fields.number(f"{architecture}.context_length"),
        layers=layers,
        embedding_length=width,
        heads=max(heads, default=0),
        kv_heads=kv_heads,
        key_length=key_length,
        value_length=value_length,
        sliding_window=fields.number(f"{architecture}.attention.sliding_window", 0),
        vocab_size=fields.length("tokenizer.ggml.tokens"),
        tokenizer=fields.text("tokenizer.ggml.model", ""),
        quantisation=_quantisation(head),
        licence=fields.text("general.license", "unknown"),
        chat_template=fields.text("tokenizer.chat_template", "") or None,
        parameters=sum(_elements(tensor) for tensor in head.tensors),
        weight_bytes=sum(tensor.size for tensor in head.tensors),
        file_bytes=head.file_bytes,
        feed_forward_length=max(fields.per_layer(f"{architecture}.feed_forward_length", (4 * width,)), default=0),
        weights=weights_by_layer(head, layers),
        cache=cache_by_layer(architecture, head.metadata, kv_heads, (key_length, value_length), width),
    )


@cache
def known_architectures() -> frozenset[str]:
    """The architectures that the gguf library names; the installed llama.cpp may know more, see `_known`."""
    return frozenset(gguf.MODEL_ARCH_NAMES.values())


def _known(architecture: str) -> bool:
    """Whether llama.cpp supports it: in the gguf library's list, else as a string inside the installed libllama.so."""
    if architecture in known_architectures():
        return True
    return len(architecture) > 2 and b"\0" + architecture.encode() + b"\0" in _library()


@cache
def _library() -> bytes:
    found = importlib.util.find_spec("llama_cpp")
    folders = found.submodule_search_locations if found else None
    library = Path(folders[0], "lib", "libllama.so") if folders else None
    return library.read_bytes() if library and library.is_file() else b""


class _Fields:
    """Typed access to the metadata. A missing or ill-typed field raises InvalidModelFile."""

    def __init__(self, head: GgufDirectory) -> None:
        self._head = head

    def check_kind(self, architecture: str) -> None:
        kind = self.text("general.type", "model")
        if kind == "adapter":
            raise self._invalid("it is an adapter, not a model", "import it with `docent adapters import`")
        if kind != "model":
            raise self._invalid(f"it is of the type {kind!r}, not a model", "import a model's own GGUF file")
        if not _known(architecture):
            names = ", ".join(sorted(known_architectures()))
            raise self._invalid(
                f"its architecture {architecture[:64]!r} is unknown to the installed llama.cpp",
                f"update Docent, or import a model of one of these: {names}",
            )
        if _NOT_GENERATIVE.search(architecture):
            raise self._invalid(
                f"a model of the architecture {architecture} does not write text", "import a chat model"
            )
        if self.number("split.count", 1) > 1:
            raise self._invalid(
                "it is one part of a model in several files", "merge them first with 'llama-gguf-split --merge'"
            )
        if not self._head.tensors:
            raise self._invalid("it holds a vocabulary only, no weights", "import the model's full GGUF file")
        if not self.text("tokenizer.ggml.model", "") or not self.length("tokenizer.ggml.tokens"):
            raise self._invalid("it has no tokenizer", "convert the model again together with its tokenizer")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._invalid(f"its {key} is not a text")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40:
            raise self._invalid(f"its {key} is not a valid number")
        return value

    def per_layer(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """One number for all layers, or one for each layer."""
        value = self._get(key, Array(len(default), default))
        numbers = value.values if isinstance(value, Array) else (value,)
        whole = tuple(number for number in numbers if isinstance(number, int) and 0 <= number < 2**20)
        if len(whole) != len(numbers):
            raise self._invalid(f"its {key} is not a list of valid numbers")
        return whole

    def length(self, key: str) -> int:
        value = self._head.metadata.get(key)
        return value.length if isinstance(value, Array) else 0

    def _get(self, key: str, default: Value | None) -> Value:
        value = self._head.metadata.get(key, default)
        if value is None:
            raise self._invalid(f"its {key} is missing")
        return value

    def _invalid(self, why: str, hint: str = "download it again, or import another file") -> InvalidModelFile:
        return InvalidModelFile(f"reading {self._head.path}", why, hint)


def _stretch(numbers: tuple[int, ...], layers: int) -> tuple[int, ...]:
    return numbers * min(layers, 4096) if len(numbers) == 1 else numbers


def _elements(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _quantisation(head: GgufDirectory) -> str:
    """The name the file states, else the type of most bytes of its weights."""
    number = head.metadata.get("general.file_type")
    if isinstance(number, int):
        try:
            return gguf.LlamaFileType(number).name.removeprefix("MOSTLY_").removeprefix("ALL_")
        except ValueError:
            pass  # newer than the library
    weights: Counter[str] = Counter()
    for tensor in head.tensors:
        weights[tensor.type] += tensor.size
    return weights.most_common(1)[0][0] if weights else "unknown"
