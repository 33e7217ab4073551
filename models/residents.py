"""Values of the manager: how models are loaded, what is told of them, and one load from its reservation to its end."""

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

from models.catalog import ModelSpec
from models.child import Child
from models.errors import ModelError
from models.memory import cpu_seconds
from models.protocol import KvType, LoadSettings

StateName = Literal["installed", "loading", "loaded", "failed"]


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """How models are loaded and how long anything may take; times in seconds.

    `idle_s` None or 0: never unloaded. `batch`: on CPUs 128 tokens are read as fast as 512, in a quarter of the memory,
    and a new or cancelled request waits a quarter of the time.
    """

    context: int = 4096
    threads: int = 2
    parallel: int = 4
    batch: int = 128
    kv_type: KvType = "f16"
    gpu_layers: int = 0
    idle_s: float | None = 1800.0
    wait_s: float = 120.0
    load_s: float = 300.0
    stall_s: float = 60.0
    watch_s: float = 1.0
    queue: int = 64

    def settings(self) -> LoadSettings:
        """What a child is told."""
        return LoadSettings(
            context=self.context,
            parallel=self.parallel,
            batch=self.batch,
            threads=self.threads,
            kv_type=self.kv_type,
            gpu_layers=self.gpu_layers,
        )


STANDARD: Final = ModelDefaults()


@dataclass(frozen=True, slots=True)
class ModelState:
    """One installed model as it is now; `predicted` and `measured` are bytes, while it is loading or loaded."""

    spec: ModelSpec
    state: StateName
    reason: str | None
    pinned: bool
    leases: int
    context: int | None
    predicted: int | None
    measured: int | None
    pid: int | None

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time that its process has used until now."""
        return None if self.pid is None else cpu_seconds(self.pid)


@dataclass(slots=True, eq=False)
class Resident:
    """One load of a model, from its reservation to its end. Only touched by the event loop's thread."""

    spec: ModelSpec
    reserved: int
    last_used: float
    task: asyncio.Task[None] | None = None
    child: Child | None = None
    leases: int = 0
    measured: int | None = None
    leaving: bool = False
    error: ModelError | None = None

    @property
    def idle(self) -> bool:
        return self.child is not None and self.leases == 0 and not self.leaving

    @property
    def bytes(self) -> int:
        return max(self.reserved, self.measured or 0)
