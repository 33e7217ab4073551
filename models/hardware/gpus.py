"""Lists the GPUs of this machine with NVML; none without an NVIDIA driver or pynvml, which is normal.

Rule: nothing here fails. NVML is loaded on first use and once; anything it refuses counts as absent. Its numbers (PCI
order) are llama.cpp's if CUDA is set to the same order. CUDA_VISIBLE_DEVICES hides the same GPUs here as in llama.cpp.
"""

import contextlib
import dataclasses
import importlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from models.hardware.ram import Measured, measure

_log = logging.getLogger(__name__)
_LIBRARY: Final = "pynvml"  # the package nvidia-ml-py provides it


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; sizes in bytes, `used` by all processes."""

    device: str
    name: str
    total: int
    used: int


def nvml() -> Any | None:
    """Load and initialise NVML; None if it is not available."""
    try:
        library = importlib.import_module(_LIBRARY)
    except ImportError:
        return None
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        _log.debug("no GPU: %s", error)
        return None
    return library


class Devices:
    """Reads the GPUs. Methods may take milliseconds, so they must not run in an event loop."""

    def __init__(
        self,
        library: Callable[[], Any | None] = nvml,
        environment: Mapping[str, str] = os.environ,
        proc: Path = Path("/proc"),
    ) -> None:
        """`library` returns an initialised module like pynvml, or None."""
        self._find = library
        self._visible = environment.get("CUDA_VISIBLE_DEVICES")
        self._proc = proc

    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that llama.cpp may use, in its order."""
        return tuple(gpu for at, handle in enumerate(self._handles) if (gpu := self._gpu(at, handle)))

    def used_by(self, pid: int) -> dict[str, int]:
        """Bytes that a process holds on each GPU, as far as NVML knows; in a container it may not know our pids."""
        used: dict[str, int] = {}
        for at, handle in enumerate(self._handles):
            with self._ignoring_errors():
                running = self._library.nvmlDeviceGetComputeRunningProcesses(handle)
                size = sum(int(one.usedGpuMemory or 0) for one in running if one.pid == pid)
                if size:
                    used[f"gpu{at}"] = size
        return used

    def measure(self, pid: int) -> Measured | None:
        """The main memory and GPU memory that a process uses now; None if it cannot be read."""
        found = measure(pid, self._proc)
        return dataclasses.replace(found, gpus=self.used_by(pid)) if found else None

    def budgets(self, share: float = 0.9, ours: Mapping[str, int] | None = None) -> dict[str, int]:
        """Bytes we may use on each GPU: `share` of its memory, less what others use. `ours`: used bytes of ours."""
        mine = ours or {}
        return {
            gpu.device: max(0, int(gpu.total * share) - max(0, gpu.used - mine.get(gpu.device, 0)))
            for gpu in self.gpus()
        }

    @cached_property
    def _library(self) -> Any:
        return self._find()

    @cached_property
    def _handles(self) -> tuple[Any, ...]:
        if self._library is None:
            return ()
        handles: list[Any] = []
        with self._ignoring_errors():
            count = int(self._library.nvmlDeviceGetCount())
            handles = [self._library.nvmlDeviceGetHandleByIndex(at) for at in range(count)]
        if self._visible is None:
            return tuple(handles)
        named = (self._named(name.strip(), handles) for name in self._visible.split(","))
        return tuple(handle for handle in named if handle is not None)

    def _named(self, name: str, handles: list[Any]) -> Any | None:
        """The GPU that CUDA knows by this number, or by the start of its UUID."""
        if name.isdigit():
            return handles[int(name)] if int(name) < len(handles) else None
        for handle in handles:
            with self._ignoring_errors():
                if name and _text(self._library.nvmlDeviceGetUUID(handle)).startswith(name):
                    return handle
        return None

    def _gpu(self, at: int, handle: Any) -> Gpu | None:
        with self._ignoring_errors():
            memory = self._library.nvmlDeviceGetMemoryInfo(handle)
            name = _text(self._library.nvmlDeviceGetName(handle))
            return Gpu(f"gpu{at}", name, int(memory.total), int(memory.used))
        return None

    def _ignoring_errors(self) -> contextlib.suppress:
        return contextlib.suppress(self._library.NVMLError)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
