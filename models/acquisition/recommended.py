"""Lists models that answer questions from documents well, and suggests which of them fit a machine.

Rule: an entry's memory is computed from its shape (layers, KV heads, head length) and its size, never typed in. The
order is our judgement of how well they answer, best first, with the default before all; it was not measured.

Not verified: the entries were written without a network. Names of repositories and files may have changed, sizes are
approximate (a few per cent), and there are no hashes: a pull takes name, size and hash from the hub. Shapes are those
of the published configurations. Speeds are estimates: each token reads all weights once, so memory bandwidth divided by
size is an upper bound, of which a quantised model reaches about two thirds on CPUs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.catalog.installer import SPARE
from models.types import KV_BYTES, KvType

KV_TYPES: Final[tuple[KvType, ...]] = ("f16", "q8_0")
CONTEXTS: Final = (4096, 8192, 16384)
# Memory beside weights and KV cache. Rougher than `memory.estimate`, which needs the model's header.
_PROCESS_BYTES: Final = 45 * 1024 * 1024
_BYTES_PER_VOCABULARY_ENTRY: Final = 416
_COMPUTE_BYTES_PER_WIDTH: Final = 80 * 128
# Speed: checked against 59 tokens a second measured on 2 cores, see "Suggested models" in docs/decisions.md.
_REACHED: Final = 0.65  # share of the bandwidth that a quantised model reaches
_MOST_CORES_THAT_HELP: Final = 4
_SLOWEST_RECOMMENDED: Final = 3.0  # tokens a second; chosen by eye
_PROBE_BYTES: Final = 64 * 1024 * 1024  # far larger than a CPU's cache


@dataclass(frozen=True, slots=True)
class Recommended:
    """One model. `size` of the file in bytes, approximate; `parameters` in total; `context` in tokens, the longest.

    Shape: `layers`, `kv_heads` in each with keys and values of `head_length`, `width` of the state, `vocabulary`.
    """

    id: str
    repo: str
    file: str
    size: int
    parameters: int
    quantisation: str
    licence: str
    context: int
    layers: int
    kv_heads: int
    head_length: int
    width: int
    vocabulary: int
    note: str = ""

    def kv_bytes(self, context: int, kv_type: KvType = "f16") -> int:
        """KV cache for `context` tokens. Ignores sliding windows, so it is too much for Gemma and Phi-3."""
        values = 2 * self.layers * self.kv_heads * self.head_length
        return round(values * KV_BYTES[kv_type] * min(context, self.context))

    def need_bytes(self, context: int, kv_type: KvType = "f16") -> int:
        """Memory while loaded: weights, KV cache, buffers and the process itself."""
        buffers = _BYTES_PER_VOCABULARY_ENTRY * self.vocabulary + _COMPUTE_BYTES_PER_WIDTH * self.width
        return self.size + self.kv_bytes(context, kv_type) + buffers + _PROCESS_BYTES


def _entry(
    repo: str,
    file: str,
    megabytes: int,
    millions: int,
    licence: str,
    context: int,
    shape: tuple[int, int, int, int, int],
    *,
    name: str,
    note: str = "",
) -> Recommended:
    return Recommended(
        name, repo, file, megabytes * 1_000_000, millions * 1_000_000, "Q4_K_M", licence, context, *shape, note=note
    )


_OWN_LICENCE: Final = "its licence has conditions: read it on its page"
_NOT_COMMERCIAL: Final = "its licence forbids commercial use"
DEFAULT: Final = "mistral-7b-instruct"

CATALOGUE: Final[tuple[Recommended, ...]] = (
    _entry("bartowski/Mistral-7B-Instruct-v0.3-GGUF", "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf", 4373, 7248, "apache-2.0", 32768, (32, 8, 128, 4096, 32768), name=DEFAULT),
    _entry("bartowski/Meta-Llama-3.1-8B-Instruct-GGUF", "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", 4921, 8030, "llama3.1", 131072, (32, 8, 128, 4096, 128256), name="llama-3.1-8b-instruct", note=_OWN_LICENCE),
    _entry("bartowski/Qwen2.5-7B-Instruct-GGUF", "Qwen2.5-7B-Instruct-Q4_K_M.gguf", 4683, 7616, "apache-2.0", 32768, (28, 4, 128, 3584, 152064), name="qwen2.5-7b-instruct"),
    _entry("bartowski/gemma-2-9b-it-GGUF", "gemma-2-9b-it-Q4_K_M.gguf", 5761, 9242, "gemma", 8192, (42, 8, 256, 3584, 256000), name="gemma-2-9b-it", note=_OWN_LICENCE),
    _entry("bartowski/microsoft_Phi-4-mini-instruct-GGUF", "microsoft_Phi-4-mini-instruct-Q4_K_M.gguf", 2492, 3836, "mit", 131072, (32, 8, 128, 3072, 200064), name="phi-4-mini-instruct"),
    _entry("ggml-org/gemma-3-4b-it-GGUF", "gemma-3-4b-it-Q4_K_M.gguf", 2490, 3880, "gemma", 131072, (34, 4, 256, 2560, 262144), name="gemma-3-4b-it", note=_OWN_LICENCE),
    _entry("microsoft/Phi-3-mini-4k-instruct-gguf", "Phi-3-mini-4k-instruct-q4.gguf", 2393, 3821, "mit", 4096, (32, 32, 96, 3072, 32064), name="phi-3-mini-instruct"),
    _entry("bartowski/Llama-3.2-3B-Instruct-GGUF", "Llama-3.2-3B-Instruct-Q4_K_M.gguf", 2019, 3213, "llama3.2", 131072, (28, 8, 128, 3072, 128256), name="llama-3.2-3b-instruct", note=_OWN_LICENCE),
    _entry("Qwen/Qwen2.5-3B-Instruct-GGUF", "qwen2.5-3b-instruct-q4_k_m.gguf", 2105, 3397, "qwen-research", 32768, (36, 2, 128, 2048, 151936), name="qwen2.5-3b-instruct", note=_NOT_COMMERCIAL),
    _entry("bartowski/gemma-2-2b-it-GGUF", "gemma-2-2b-it-Q4_K_M.gguf", 1709, 2614, "gemma", 8192, (26, 4, 256, 2304, 256000), name="gemma-2-2b-it", note=_OWN_LICENCE),
    _entry("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf", 1117, 1777, "apache-2.0", 32768, (28, 2, 128, 1536, 151936), name="qwen2.5-1.5b-instruct"),
    _entry("bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q4_K_M.gguf", 808, 1236, "llama3.2", 131072, (16, 8, 64, 2048, 128256), name="llama-3.2-1b-instruct", note=_OWN_LICENCE),
    _entry("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q4_k_m.gguf", 491, 630, "apache-2.0", 32768, (24, 2, 64, 896, 151936), name="qwen2.5-0.5b-instruct"),
    _entry("bartowski/SmolLM2-360M-Instruct-GGUF", "SmolLM2-360M-Instruct-Q4_K_M.gguf", 271, 362, "apache-2.0", 8192, (32, 5, 64, 960, 49152), name="smollm2-360m-instruct"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: `memory` for models and free `disk` in bytes, usable `cores`, `copy_rate` of one core in bytes/s."""

    memory: int
    disk: int
    cores: int
    copy_rate: float

    @property
    def bandwidth(self) -> float:
        """Estimated bytes/s a model's threads read: a copy reads and writes, and few cores saturate the bus."""
        return 2 * self.copy_rate * min(self.cores, _MOST_CORES_THAT_HELP)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One model on one machine: its `need` in bytes at the requested context, and `why_not` if it does not fit.

    At most one suggestion is the `best`.
    """

    model: Recommended
    need: int
    tokens_per_second: float
    why_not: str
    best: bool = False

    @property
    def speed(self) -> str:
        """The speed as a rough class, since it is only an estimate."""
        return speed_class(self.tokens_per_second)


def suggest(machine: Machine, context: int, models: Sequence[Recommended] = CATALOGUE) -> tuple[Suggestion, ...]:
    """Judge all models, in the catalogue's order.

    The best is the first that fits, allows commercial use and is not slow; if all that fit are slow, the fastest.
    """
    found = [_judge(model, machine, context) for model in models]
    able = [one for one in found if not one.why_not and one.model.note != _NOT_COMMERCIAL]
    quick = [one for one in able if one.tokens_per_second >= _SLOWEST_RECOMMENDED]
    best = quick[0] if quick else max(able, key=lambda one: one.tokens_per_second, default=None)
    return tuple(Suggestion(one.model, one.need, one.tokens_per_second, one.why_not, one is best) for one in found)


def by_name(name: str) -> Recommended | None:
    """The entry with this id, upper or lower case."""
    return next((model for model in CATALOGUE if model.id == name.lower()), None)


def speed_class(tokens_per_second: float) -> str:
    """The name of a speed; people read about five tokens a second."""
    limits = ((2.0, "very slow"), (5.0, "slow"), (15.0, "as fast as one reads"))
    return next((name for limit, name in limits if tokens_per_second < limit), "fast")


def copy_rate(size: int = _PROBE_BYTES) -> float:
    """Measure how many bytes/s one core copies, the best of three runs. Takes about 0.1 s."""
    source, target = memoryview(bytearray(size)), memoryview(bytearray(size))
    target[:] = source
    return size / min(_timed(source, target) for _ in range(3))


def _timed(source: memoryview, target: memoryview) -> float:
    started = time.perf_counter()
    target[:] = source
    return max(time.perf_counter() - started, 1e-9)


def _judge(model: Recommended, machine: Machine, context: int) -> Suggestion:
    need = model.need_bytes(context)
    reasons = []
    if need > machine.memory:
        reasons.append(
            f"needs {_gb(need)} of memory, the budget is {_gb(machine.memory)}{_smaller(model, machine, context)}"
        )
    if model.size + SPARE > machine.disk:
        reasons.append(f"needs {_gb(model.size)} on the disk, {_gb(machine.disk)} are free")
    speed = _REACHED * machine.bandwidth / model.size
    return Suggestion(model, need, speed, "; ".join(reasons))


def _smaller(model: Recommended, machine: Machine, context: int) -> str:
    """The largest of CONTEXTS that would fit, in words; empty if none does."""
    for tokens in sorted((one for one in CONTEXTS if one < context), reverse=True):
        if model.need_bytes(tokens) <= machine.memory:
            return f" (it fits with a context of {tokens:,})"
    return ""


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
