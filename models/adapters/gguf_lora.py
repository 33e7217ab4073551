"""Reads a LoRA adapter in GGUF format, and checks that it can be applied to a base model.

Rule: llama.cpp gets an adapter only after its architecture, names, shapes, rank and values have passed the checks here.
It would refuse some faults in the middle of a request, and would apply NaNs silently.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np

from models.errors import InvalidModelFile
from models.formats.gguf_reader import GgufDirectory, Tensor, read_directory
from models.formats.regular_file import open_regular

MAX_RANK: Final = 4096  # a bound for untrusted files; chosen by eye
_PARTS: Final = (".lora_a", ".lora_b")
_HINT: Final = "use an adapter that was trained for this model"
_CHUNK: Final = 16 * 1024 * 1024  # bytes checked at once; chosen by eye


@dataclass(frozen=True, slots=True)
class AdapterHead:
    """The description in a LoRA adapter's file. `pairs`: tensor of the base -> its two factors, A and B.

    `alpha` 0 means that the factors are applied unscaled.
    """

    head: GgufDirectory
    architecture: str
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float
    name: str
    licence: str


def read_adapter(path: Path) -> AdapterHead:
    """Read the head. Raises InvalidModelFile if it is not a LoRA adapter in GGUF format with a plausible rank."""
    head = read_directory(path, hint="import a .gguf file, or a folder as PEFT saves it")
    if head.metadata.get("general.type") != "adapter" or head.metadata.get("adapter.type") != "lora":
        raise _invalid(path, "it is not a LoRA adapter")
    architecture = head.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise _invalid(path, "it does not name the architecture of its base model")
    pairs = _pairs(head)
    if not pairs:
        raise _invalid(path, "it changes nothing")
    alpha = head.metadata.get("adapter.lora.alpha", 0.0)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _invalid(path, f"its alpha is {alpha!r}, which is not a finite number")
    for name, (low, high) in pairs.items():
        if not 1 <= low.shape[1] <= min(MAX_RANK, max(low.shape[0], high.shape[1])):
            raise _invalid(path, f"its rank for {name} is {low.shape[1]}, which is not possible")
    rank = max(low.shape[1] for low, _ in pairs.values())
    return AdapterHead(head, architecture, pairs, rank, float(alpha), _text(head, "name"), _text(head, "license"))


def check_values(adapter: AdapterHead) -> None:
    """Read every weight. Raises InvalidModelFile if one is not finite, or has a type that cannot be checked."""
    path = adapter.head.path
    try:
        with open_regular(path) as file:
            for tensor in (tensor for pair in adapter.pairs.values() for tensor in pair):
                for offset, size in _rows(tensor):
                    file.seek(offset)
                    if not _finite(file.read(size), tensor):
                        raise _invalid(path, f"its tensor {tensor.name} holds values that are not finite numbers")
    except OSError as error:
        raise InvalidModelFile(f"reading {path}", error.strerror or str(error), "check its permissions") from error
    except (NotImplementedError, ValueError) as error:
        why = f"its weights cannot be checked: {error}"
        raise InvalidModelFile(f"reading {path}", why, "convert it with f16 or f32 weights") from error


def misfit(adapter: AdapterHead, architecture: str, tensors: Iterable[Tensor]) -> str:
    """Why the adapter cannot be applied to a model of this architecture with these tensors; empty if it can."""
    if adapter.architecture != architecture:
        return f"it is for the architecture {adapter.architecture}, the model is {architecture}"
    # llama.cpp keeps the two factors of the token embeddings the other way round.
    changed = {
        name: (high.shape[1], low.shape[1]) if _is_embedding(name) else (low.shape[0], high.shape[1])
        for name, (low, high) in adapter.pairs.items()
    }
    return misshape(changed, tensors)


def misshape(changed: Mapping[str, tuple[int, int]], tensors: Iterable[Tensor]) -> str:
    """Why the `changed` tensors, name -> (size in, size out), do not match `tensors`; empty if they do."""
    targets = {tensor.name: tensor.shape for tensor in tensors}
    for name, (into, out) in changed.items():
        shape = targets.get(name)
        if shape is None:
            return f"it changes {name}, which the model does not have"
        if shape != (into, out):
            return f"it changes {name} as {into}x{out}, the model's is {'x'.join(map(str, shape))}"
    return ""


def check_misfit(what: str, adapter: AdapterHead, architecture: str, base: Path) -> None:
    """Raises InvalidModelFile with the reason of `misfit`. Reads the base's head: blocks."""
    if why := misfit(adapter, architecture, read_directory(base).tensors):
        raise InvalidModelFile(what, why, _HINT)


def _pairs(head: GgufDirectory) -> dict[str, tuple[Tensor, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for tensor in head.tensors:
        part = tensor.name[-len(_PARTS[0]) :]
        if part not in _PARTS or len(tensor.shape) != 2:
            raise _invalid(head.path, f"its tensor {tensor.name} is not a factor of a LoRA adapter")
        found.setdefault(tensor.name[: -len(part)], {})[part] = tensor
    for name, parts in found.items():
        if len(parts) != len(_PARTS) or not _multiply(name, *(parts[part] for part in _PARTS)):
            raise _invalid(head.path, f"the two factors for {name} are not a pair")
    return {name: (parts[_PARTS[0]], parts[_PARTS[1]]) for name, parts in found.items()}


def _multiply(name: str, low: Tensor, high: Tensor) -> bool:
    return (low.shape[0] if _is_embedding(name) else low.shape[1]) == high.shape[0]


def _is_embedding(name: str) -> bool:
    return name.endswith("token_embd.weight")


def _rows(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Offsets and sizes in bytes of pieces of whole rows, each to be read at once."""
    row = tensor.size // tensor.shape[1]
    step = max(1, _CHUNK // max(1, row)) * row
    for start in range(0, tensor.size, step):
        yield tensor.offset + start, min(step, tensor.size - start)


def _finite(data: bytes, tensor: Tensor) -> bool:
    kind = gguf.GGMLQuantizationType[tensor.type]
    row = tensor.size // tensor.shape[1]
    with np.errstate(all="ignore"):
        values = gguf.dequantize(np.frombuffer(data, np.uint8).reshape(-1, row), kind)
    return bool(np.isfinite(values).all())


def _text(head: GgufDirectory, key: str) -> str:
    value = head.metadata.get(f"general.{key}", "")
    return value if isinstance(value, str) else ""


def _invalid(path: Path, why: str) -> InvalidModelFile:
    return InvalidModelFile(f"reading {path}", why, "import a LoRA adapter in GGUF format, or a PEFT folder")
