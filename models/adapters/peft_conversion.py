"""Converts a LoRA adapter saved by PEFT to one GGUF file that llama.cpp can apply. Needs numpy and gguf, not torch.

The arithmetic is that of llama.cpp's convert_lora_to_gguf.py: names from gguf's tables, and for the llama family the
rows of the second factor of queries and keys in the order of its rotary positions. llama.cpp multiplies by
alpha / rank, so other scales of PEFT (rslora, patterns per module) are worked into alpha or the second factor.

Rule: an adapter that changes more than plain LoRA on the layers' matrices is refused by name. Leaving the rest out
would give an adapter that silently answers differently than it was trained to.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import gguf
import numpy as np
from numpy.typing import NDArray

from models.adapters.gguf_lora import MAX_RANK, misshape
from models.errors import InvalidModelFile
from models.formats.gguf_header import GgufHeader
from models.formats.gguf_reader import Tensor
from models.formats.regular_file import open_regular
from models.formats.safetensors import SafetensorsFile, read_safetensors

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
PERMUTED: Final = frozenset({"llama", "granite", "smollm3"})
"""Architectures whose queries and keys have another order of rows in GGUF than in Hugging Face's files."""
PLAIN: Final = frozenset({"qwen2", "qwen3", "gemma", "gemma2", "gemma3", "phi3", "olmo2"})
"""Architectures whose matrices are the same in both formats."""

Value = TypeVar("Value", int, float)
_MAX_CONFIG: Final = 1024 * 1024  # bytes; this and the next are bounds for untrusted files, chosen by eye
_MAX_ALPHA: Final = 1e6
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.]{1,200}")
_FACTOR: Final = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.[A-Za-z0-9_-]+)?\.weight")
_HINT: Final = "merge it into its model and convert that to GGUF, or train a plain LoRA"
_REFUSED: Final = {
    "use_dora": "it is DoRA, which also rescales the rows of the model's matrices",
    "modules_to_save": "it replaces whole modules of the model ({})",
    "trainable_token_indices": "it replaces token embeddings",
    "lora_bias": "it also trains biases",
    "layer_replication": "it repeats layers of the model",
    "fan_in_fan_out": "its matrices are stored transposed",
    "alora_invocation_tokens": "it is an activated LoRA, which applies only after a certain token",
    "use_qalora": "it is QALoRA, which is not plain LoRA",
    "target_parameters": "it changes parameters that are not matrices of layers ({})",
    "use_bdlora": "it is block-diagonal",
    "arrow_config": "it is a mixture of adapters",
}
_ALTERS_BASE: Final = re.compile(r"pissa|olora|corda|loftq|lora_ga", re.I)


@dataclass(frozen=True, slots=True)
class PeftConfig:
    """The fields of adapter_config.json that change the result."""

    rank: int
    alpha: float
    rslora: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    base: str

    def scale(self, module: str, rank: int) -> float:
        """The factor PEFT applies to a module's change; `rank` is that of its factors."""
        alpha = _by_pattern(self.alphas, module, self.alpha)
        return alpha / math.sqrt(rank) if self.rslora else alpha / rank

    def expected_rank(self, module: str) -> int:
        """The rank that the module's factors must have."""
        return _by_pattern(self.ranks, module, self.rank)


def read_config(folder: Path) -> PeftConfig:
    """Read adapter_config.json. Raises InvalidModelFile if it is missing, or describes other than plain LoRA."""
    path = folder / CONFIG
    values = _json(path)
    if values.get("peft_type") != "LORA":
        raise _refused(path, f"its peft_type is {values.get('peft_type')!r}; only LORA can be used")
    for key, why in _REFUSED.items():
        if value := values.get(key):
            raise _refused(path, why.format(value))
    if values.get("bias", "none") != "none":
        raise _refused(path, f"it also trains biases (bias is {values['bias']!r})")
    initialised = values.get("init_lora_weights")
    if isinstance(initialised, str) and _ALTERS_BASE.search(initialised):
        raise _refused(path, f"it was initialised with {initialised}, which changes the model's own weights")
    base = values.get("base_model_name_or_path")
    return PeftConfig(
        rank=_rank(path, "r", values.get("r")),
        alpha=_alpha(path, "lora_alpha", values.get("lora_alpha")),
        rslora=values.get("use_rslora") is True,
        ranks={key: _rank(path, key, value) for key, value in _pattern(path, values, "rank_pattern").items()},
        alphas={key: _alpha(path, key, value) for key, value in _pattern(path, values, "alpha_pattern").items()},
        base=base if isinstance(base, str) else "",
    )


def changes(folder: Path, base: GgufHeader, tensors: Iterable[Tensor]) -> str:
    """Why the folder's adapter does not fit this base; empty if it does. Reads heads only.

    Raises InvalidModelFile for a folder that is broken or not plain LoRA, whatever the base.
    """
    read_config(folder)
    file = read_safetensors(folder / WEIGHTS)
    modules = _modules(file)
    try:
        names = _gguf_names(folder, modules, base)
    except InvalidModelFile as error:
        return error.why
    stored = {module: (file.tensors[parts["A"]], file.tensors[parts["B"]]) for module, parts in modules.items()}
    return misshape({names[module]: (low.shape[1], high.shape[0]) for module, (low, high) in stored.items()}, tensors)


def convert(folder: Path, base: GgufHeader, target: Path) -> None:
    """Write the folder's adapter, for a model like `base`, as a new GGUF file. Blocks.

    Raises InvalidModelFile for a folder that is broken or not plain LoRA, for modules that the architecture does not
    have, values that are not finite, and architectures in neither PERMUTED nor PLAIN.
    """
    config, file = read_config(folder), read_safetensors(folder / WEIGHTS)
    modules = _modules(file)
    names = _gguf_names(folder, modules, base)
    writer = gguf.GGUFWriter(target, base.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    alpha = config.alpha * math.sqrt(config.rank) if config.rslora else config.alpha
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for module in sorted(modules, key=names.__getitem__):
        low, high = _factors(file, module, modules[module], config, alpha)
        if base.architecture in PERMUTED and module.endswith((".q_proj", ".k_proj")):
            high = rotary_order(high, base.heads if module.endswith(".q_proj") else max(base.kv_heads))
        writer.add_tensor(f"{names[module]}.lora_a", low)
        writer.add_tensor(f"{names[module]}.lora_b", high)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rotary_order(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Interleave the two halves of each head's rows: (heads * size, n) in llama.cpp's order.

    As `permute` in llama.cpp's conversion/llama.py. Raises InvalidModelFile if the rows do not divide into the heads.
    """
    if heads < 1 or rows.shape[0] % (2 * heads):
        why = f"it has {rows.shape[0]} rows, which do not divide into {heads} heads"
        raise InvalidModelFile("ordering the rows of an adapter", why, "use an adapter that was trained for this model")
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows.shape))


def _modules(file: SafetensorsFile) -> dict[str, dict[str, str]]:
    """Module -> factor, A or B -> the tensor's name in the file."""
    found: dict[str, dict[str, str]] = {}
    for name, stored in file.tensors.items():
        match = _FACTOR.fullmatch(name)
        if match is None or len(stored.shape) != 2:
            raise _refused(file.path, f"its tensor {name} is not a factor of a plain LoRA")
        if match[2] in found.setdefault(match[1], {}):
            raise _refused(file.path, f"it holds several adapters for {match[1]}", "save one of them by itself")
        found[match[1]][match[2]] = name
    if not found:
        raise _refused(file.path, "it changes nothing", "export the adapter again")
    for module, parts in found.items():
        if len(parts) != len("AB"):
            raise _refused(file.path, f"one of the two factors for {module} is missing", "export the adapter again")
    return found


def _gguf_names(folder: Path, modules: Mapping[str, object], base: GgufHeader) -> dict[str, str]:
    """Module -> the name of its tensor in the base."""
    if base.architecture not in PERMUTED | PLAIN:
        known = ", ".join(sorted(PERMUTED | PLAIN))
        why = f"adapters for the architecture {base.architecture} cannot be converted, only those for {known}"
        raise _refused(folder, why, "convert it with llama.cpp's convert_lora_to_gguf.py, and import the GGUF")
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(kinds[base.architecture], base.layers)
    found: dict[str, str] = {}
    for module in modules:
        name = table.get_name(module + ".weight", try_suffixes=(".weight",))
        if name is None or name.startswith("token_embd"):
            why = f"it changes {module}, which is not a matrix that can be changed in a {base.architecture} model"
            raise _refused(folder, f"{why} of {base.layers} layers")
        if name in found.values():
            raise _refused(folder, f"it changes {name} twice")
        found[module] = name
    return found


def _factors(
    file: SafetensorsFile, module: str, names: Mapping[str, str], config: PeftConfig, alpha: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both factors of a module, checked and scaled; `alpha` is the one written to the GGUF file."""
    parts = {part: file.read(name) for part, name in names.items()}
    low, high = parts["A"], parts["B"]
    rank, expected = low.shape[0], config.expected_rank(module)
    if rank != expected or high.shape[1] != rank:
        why = f"the factors for {module} have the ranks {rank} and {high.shape[1]}, but {CONFIG} says {expected}"
        raise _refused(file.path, why, "export the adapter again")
    for part, values in parts.items():
        if not np.isfinite(values).all():
            raise _refused(
                file.path, f"factor {part} of {module} holds values that are not finite numbers", "train it again"
            )
    factor = config.scale(module, rank) * rank / alpha
    if math.isclose(factor, 1.0):
        return low, high
    return low.astype(np.float32), high.astype(np.float32) * np.float32(factor)


def _by_pattern(patterns: Mapping[str, Value], module: str, default: Value) -> Value:
    """As PEFT's get_pattern_key: the first key that equals the module's name, or its end after a dot."""
    return next((value for key, value in patterns.items() if f".{module}".endswith(f".{key}")), default)


def _pattern(path: Path, values: Mapping[str, Any], key: str) -> dict[str, Any]:
    pattern = values.get(key) or {}
    if not isinstance(pattern, dict):
        raise _refused(path, f"its {key} is not an object", "export the adapter again")
    for name in pattern:
        if not _PLAIN_KEY.fullmatch(name):  # an untrusted regular expression may run for ever
            raise _refused(path, f"its {key} has the regular expression {name!r}; only names of modules can be used")
    return pattern


def _rank(path: Path, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_RANK:
        raise _refused(path, f"its rank {key} is {value!r}, not a number from 1 to {MAX_RANK}", "train it again")
    return value


def _alpha(path: Path, key: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < abs(float(str(value))) < _MAX_ALPHA:
        raise _refused(path, f"its alpha {key} is {value!r}, which is out of range", "train it again")
    return float(str(value))


def _json(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_CONFIG + 1)
    except OSError as error:
        why = f"{path.name} is missing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        hint = f"name a folder with {CONFIG} and {WEIGHTS}, as PEFT saves them, or a GGUF file"
        raise InvalidModelFile(f"reading the adapter {path.parent}", why, hint) from error
    try:
        values = json.loads(content) if len(content) <= _MAX_CONFIG else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise _refused(path, "it is not a JSON object of at most 1 MiB", "export the adapter again")
    return values


def _refused(path: Path, why: str, hint: str = _HINT) -> InvalidModelFile:
    return InvalidModelFile(f"converting the adapter {path}", why, hint)
