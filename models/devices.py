"""The GPUs of this machine, as NVML tells; none where there is no NVIDIA driver, which is normal."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; sizes in bytes, `used` by anybody."""

    device: str
    name: str
    total: int
    used: int


class Devices:
    """Looks at the GPUs. Methods may take milliseconds and fail softly."""

    def gpus(self) -> tuple[Gpu, ...]:
        """All GPUs, in NVML's order."""
        return ()

    def used_by(self, pid: int) -> Mapping[str, int]:
        """Bytes that a process holds on each GPU, as far as NVML tells."""
        return {}

    def budgets(self, share: float = 0.9, ours: Mapping[str, int] | None = None) -> dict[str, int]:
        """What we may use on each GPU: a share of its memory, less what others use (`ours` of the used is ours)."""
        mine = ours or {}
        return {
            gpu.device: max(0, int(gpu.total * share) - max(0, gpu.used - mine.get(gpu.device, 0)))
            for gpu in self.gpus()
        }
