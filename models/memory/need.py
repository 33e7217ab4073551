"""How much memory a load needs, by device and by part. Values only.

Devices are named `ram`, `gpu0`, `gpu1`, … in NVML's order. All sizes are in bytes.

Rule: what counts is what must be resident for the model to answer at full speed. The process's own memory (`private`)
counts. Weights used straight out of the file's mapping (`mapped`) count too: the kernel could drop their pages at any
time, but each of them is read for every token, and a cgroup with a limit is charged for them. Pages of the file that
were only read to make a copy (weights that llama.cpp rearranges, or that are on a GPU) do not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from models.hardware.ram import RAM

PartName = Literal["weights", "mapped", "kv", "compute", "cache", "adapters", "process"]
Source = Literal["header", "dry run", "measured"]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of one device for one purpose.

    `weights` are copies of the model's weights in the process's own memory or on a GPU; `mapped` are weights used out
    of the file's mapping; `kv` is the cells of the context; `compute` is llama.cpp's buffers with the logits; `cache`
    is KV of earlier prompts outside the cells; `adapters` is what loaded LoRA adapters may hold; `process` is the
    interpreter, its libraries and the vocabulary.
    """

    name: PartName
    device: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Need:
    """What one load needs, and where the figures come from."""

    parts: tuple[Part, ...]
    source: Source

    @property
    def devices(self) -> Mapping[str, int]:
        """Bytes on each device."""
        return total(self.parts)

    @property
    def ram(self) -> int:
        """Bytes of main memory."""
        return self.devices.get(RAM, 0)

    @property
    def private(self) -> int:
        """Bytes of main memory without the mapped weights: the process's own."""
        return self.ram - self.of("mapped")

    def of(self, name: PartName) -> int:
        """Bytes of one part over all devices."""
        return sum(part.bytes for part in self.parts if part.name == name)


def total(parts: Iterable[Part]) -> dict[str, int]:
    """Bytes on each device."""
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.device] = sums.get(part.device, 0) + part.bytes
    return sums
