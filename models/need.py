"""How much memory a load needs: by device and by part. Values only.

Devices are named `ram`, `gpu0`, `gpu1`, … in NVML's order. All sizes in bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

RAM: Final = "ram"

PartName = Literal["weights", "kv", "compute", "cache", "adapters", "process"]
Source = Literal["header", "dry run", "measured"]


@dataclass(frozen=True, slots=True)
class Part:
    """So many bytes of one device for one purpose.

    `kv` are the cells of the context, `compute` llama.cpp's buffers with the logits, `cache` KV of earlier prompts outside
    the cells, `adapters` what resident LoRA adapters may hold, `process` the interpreter and its libraries.
    """

    name: PartName
    device: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Need:
    """What one load needs, and how that is known."""

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

    def of(self, name: PartName) -> int:
        """Bytes of one part over all devices."""
        return sum(part.bytes for part in self.parts if part.name == name)


def total(parts: Iterable[Part]) -> dict[str, int]:
    """Bytes on each device."""
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.device] = sums.get(part.device, 0) + part.bytes
    return sums
