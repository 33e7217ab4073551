"""Computes how many layers fit on which GPU. Pure.

llama.cpp fills the GPUs from the last layer backwards: `gpu_layers` N means the output and the last N - 1 layers;
several GPUs share them in proportion to their free memory. This follows llama.cpp, so that a prediction by device comes
true.
"""

from collections.abc import Mapping, Sequence

from models.formats.gguf_header import GgufHeader
from models.hardware.ram import RAM
from models.memory.estimate import gpu_overhead, layer_bytes
from models.types import LoadSettings


def fitting_layers(header: GgufHeader, settings: LoadSettings, limits: Mapping[str, int]) -> int:
    """The most layers, counting the output as one, that keep each GPU within its limit in bytes."""
    sizes = layer_bytes(header, settings)
    overhead = gpu_overhead(header, settings)
    free = {device: limit for device, limit in sorted(limits.items()) if device != RAM and limit > 0}
    for count in range(len(sizes) if free else 0, 0, -1):
        if _fits(sizes, devices_of_layers(len(sizes), count, free), free, overhead):
            return count
    return 0


def devices_of_layers(layers: int, gpu_layers: int, free: Mapping[str, int]) -> list[str]:
    """The device of each of `layers`, the output last; `free` are bytes on each GPU, in llama.cpp's order.

    Follows `load_tensors` of llama.cpp's src/llama-model.cpp.
    """
    count = min(gpu_layers, layers)
    start = layers - count
    total = sum(free.values())
    if not count or not total:
        return [RAM] * layers
    return [RAM] * start + [_gpu(at / count, free, total) for at in range(count)]


def _gpu(share: float, free: Mapping[str, int], total: int) -> str:
    """The first GPU whose share of the whole ends after `share`."""
    end = 0
    for device, size in free.items():
        end += size
        if share < end / total:
            return device
    return list(free)[-1]


def _fits(sizes: Sequence[int], places: Sequence[str], free: Mapping[str, int], overhead: int) -> bool:
    used = dict.fromkeys(set(places) - {RAM}, overhead)
    for size, device in zip(sizes, places, strict=True):
        if device != RAM:
            used[device] += size
    return all(size <= free[device] for device, size in used.items())
