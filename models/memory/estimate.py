"""Computes what a load needs: from the header and settings alone, with llama.cpp's sizes, or as measured. Pure.

Rule: all three give the same parts, so that they can be compared. Weights are always placed from the header, because a
dry run reports only which layer goes to which device, not how many bytes that is.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from models.child_process.dry_run_messages import Report, Sizes
from models.formats.gguf_header import GgufHeader
from models.formats.gguf_layers import INPUT, Weights, cells_of
from models.hardware.ram import RAM, Measured
from models.memory.need import Need, Part, PartName
from models.types import KV_BYTES, LoadSettings

_MASK_BYTES: Final = 2
_MIB: Final = 1024 * 1024

# Fitted to dry runs and measured children: see benchmarks/memory.py.
_PROCESS_BYTES: Final = 33 * _MIB
_BYTES_PER_TOKEN: Final = {"gpt2": 310}  # byte-pair merges
_BYTES_PER_OTHER_TOKEN: Final = 165
_DECODE_BYTES: Final = 1 * _MIB  # what answering adds to a process: its threads' working memory
_LATER: Final[tuple[PartName, ...]] = ("cache", "adapters")  # what a child allocates only in use
_GPU_BYTES: Final = 400 * _MIB  # a CUDA context with its kernels, on each GPU that is used


def estimate(header: GgufHeader, settings: LoadSettings, repacked: frozenset[str], devices: Sequence[str] = ()) -> Need:
    """The first and quickest step: from the header. `repacked` are the weight types that llama.cpp rearranges here.

    `devices` names the device of each layer, the output last; all are in RAM if it is empty.
    """
    places = list(devices) or [RAM] * (header.layers + 1)
    parts = [
        *_weights(header, places, repacked),
        *_caches(header, settings, places),
        *(Part("compute", device, _compute(header, settings)) for device in sorted({RAM, *places})),
        Part("compute", RAM, settings.outputs * header.vocab_size * 4),
    ]
    return Need(_summed([*parts, *_constant(settings, places), Part("process", RAM, _process(header))]), "header")


def from_dry_run(header: GgufHeader, settings: LoadSettings, report: Report, repacked: frozenset[str]) -> Need:
    """The second step: with the sizes of a dry run, which `report` must have."""
    sizes = report.sizes
    assert sizes is not None
    places = [device_of(name) for name in sizes.layers]
    output = sum(sizes.output.values())
    parts = [
        *_weights(header, places, _really_repacked(header, sizes, repacked)),
        *(Part("kv", device_of(name), size) for name, size in (*sizes.kv.items(), *sizes.state.items())),
        *(Part("compute", device_of(name), size) for name, size in sizes.compute.items()),
        Part("compute", RAM, max(output, settings.outputs * header.vocab_size * 4)),  # it grows up to this
    ]
    return Need(
        _summed([*parts, *_constant(settings, places), Part("process", RAM, report.process or _process(header))]),
        "dry run",
    )


def device_of(name: str) -> str:
    """The device of one of llama.cpp's buffers: `gpu0` for `CUDA0`; host memory that a GPU can read is `ram`."""
    digits = name[len(name.rstrip("0123456789")) :]
    return f"gpu{digits}" if digits and not name.startswith("CPU") else RAM


def layer_bytes(header: GgufHeader, settings: LoadSettings) -> list[int]:
    """Bytes of weights and KV that each layer would take on a GPU, the output last."""
    sizes = [0] * (header.layers + 1)
    for group in header.weights:
        if group.layer != INPUT:
            sizes[group.layer] += group.size
    sizes[-1] += _tied(header)
    for layer, size in enumerate(_cache_sizes(header, settings)):
        sizes[layer] += size
    return sizes


def gpu_overhead(header: GgufHeader, settings: LoadSettings) -> int:
    """Bytes that each GPU in use needs beside its layers."""
    return _GPU_BYTES + _compute(header, settings)


def with_measured(need: Need, measured: Measured) -> Need:
    """The third step: what a loaded child was measured to use, split into the parts of `need`.

    Weights, KV and buffers are as large as llama.cpp says, so the measurement corrects the process's own part. Buffers
    in main memory count from when they are touched. Until a whole batch has been decoded, up to all of `compute` may be
    missing from the measurement; it is added, up to what `need` expected.
    """
    later = sum(part.bytes for part in need.parts if part.device == RAM and part.name in _LATER)
    expected = need.private - later
    untouched = sum(part.bytes for part in need.parts if part.device == RAM and part.name == "compute")
    seen = {RAM: max(measured.private, min(expected, measured.private + untouched)), **measured.gpus}
    parts = list(need.parts)
    for device, size in seen.items():
        now = sum(one.bytes for one in parts if one.device == device and one.name not in ("mapped", *_LATER))
        for name in ("process", "compute"):
            parts, now = _corrected(parts, name, device, now, size)
    return Need(_summed(parts), "measured")


def _corrected(parts: list[Part], name: PartName, device: str, now: int, wanted: int) -> tuple[list[Part], int]:
    """Change one part so that the device's sum becomes `wanted`, or as near as possible; also returns the new sum."""
    before = sum(part.bytes for part in parts if (part.name, part.device) == (name, device))
    after = max(0, before + wanted - now)
    kept = [part for part in parts if (part.name, part.device) != (name, device)]
    return [*kept, Part(name, device, after)], now + after - before


# -- weights ----------------------------------------------------------------------------------------------------------


def _weights(header: GgufHeader, places: Sequence[str], repacked: frozenset[str]) -> Iterable[Part]:
    for group in header.weights:
        device = RAM if group.layer == INPUT else places[min(group.layer, len(places) - 1)]
        mapped = device == RAM and not (_rearranged(group, repacked) and group.layer != INPUT)
        yield Part("mapped" if mapped else "weights", device, group.size)
    copied = places[-1] != RAM or any(_rearranged(group, repacked) for group in header.weights if group.layer == INPUT)
    if copied:
        yield Part("weights", places[-1], _tied(header))


def _tied(header: GgufHeader) -> int:
    """Bytes of a second copy of the embeddings where they are the output's weights too; else 0."""
    if any(group.matrix and group.layer == header.layers for group in header.weights):
        return 0
    return sum(group.size for group in header.weights if group.layer == INPUT and group.matrix)


def _rearranged(group: Weights, repacked: frozenset[str]) -> bool:
    return group.matrix and group.type in repacked


def _really_repacked(header: GgufHeader, sizes: Sizes, expected: frozenset[str]) -> frozenset[str]:
    """The types that were rearranged. The log does not name them; it counts the tensors that were left as they are."""
    if not sizes.repacks:
        return frozenset()
    if any(device_of(name) != RAM for name in sizes.layers):  # each device has a count of its own
        return expected
    present = sorted({group.type for group in header.weights if group.matrix})
    guesses = [
        expected,
        *(frozenset(some) for count in range(1, len(present) + 1) for some in combinations(present, count)),
    ]
    return next((guess for guess in guesses if _left(header, guess) == sizes.moved), expected)


def _left(header: GgufHeader, repacked: frozenset[str]) -> int:
    """The number of tensors that are left as they are when these types are rearranged."""
    left = [group for group in header.weights if group.layer == INPUT or not _rearranged(group, repacked)]
    tied = _tied(header) and any(_rearranged(group, repacked) for group in header.weights if group.layer == INPUT)
    return sum(group.tensors for group in left) + (0 if tied or not _tied(header) else 1)


# -- everything else --------------------------------------------------------------------------------------------------


def _caches(header: GgufHeader, settings: LoadSettings, places: Sequence[str]) -> Iterable[Part]:
    return (Part("kv", places[layer], size) for layer, size in enumerate(_cache_sizes(header, settings)))


def _cache_sizes(header: GgufHeader, settings: LoadSettings) -> list[int]:
    context = _context(header, settings)
    sizes = []
    for layer in header.cache:
        cells = cells_of(context, layer.window, settings.parallel, _batch(settings))
        sizes.append(round(layer.values * KV_BYTES[settings.kv_type] * cells) + layer.state * 4 * settings.parallel)
    return sizes


def _compute(header: GgufHeader, settings: LoadSettings) -> int:
    """The most values alive at once, those of the feed-forward network or of the output, plus the masks."""
    batch, width = _batch(settings), header.embedding_length
    inside = batch * 4 * (4 * header.feed_forward_length + width)
    output = settings.outputs * header.vocab_size * 4 + batch * 4 * 2 * width
    windows = {layer.window for layer in header.cache if layer.values}
    cells = [cells_of(_context(header, settings), window, settings.parallel, batch) for window in windows]
    scores = 0 if settings.flash_attention else max(cells, default=0) * batch * header.heads * 4
    return max(inside, output, scores) + sum(cells) * batch * _MASK_BYTES


def _process(header: GgufHeader) -> int:
    return _PROCESS_BYTES + _BYTES_PER_TOKEN.get(header.tokenizer, _BYTES_PER_OTHER_TOKEN) * header.vocab_size


def _constant(settings: LoadSettings, places: Iterable[str]) -> list[Part]:
    """The parts that neither the header nor a dry run shows."""
    gpus = sorted(set(places) - {RAM})
    return [
        Part("cache", RAM, settings.cache_bytes),
        Part("process", RAM, _DECODE_BYTES),
        *(Part("process", device, _GPU_BYTES) for device in gpus),
    ]


def _context(header: GgufHeader, settings: LoadSettings) -> int:
    return max(min(settings.context, header.context_length), settings.cells or 0)


def _batch(settings: LoadSettings) -> int:
    return max(settings.batch, settings.outputs)


def _summed(parts: Iterable[Part]) -> tuple[Part, ...]:
    """One part for each purpose and device, without empty ones."""
    sums: dict[tuple[PartName, str], int] = {}
    for part in parts:
        sums[part.name, part.device] = sums.get((part.name, part.device), 0) + part.bytes
    return tuple(Part(name, device, size) for (name, device), size in sums.items() if size)
