"""One load of a model, from its reservation to its end, with its adapters; and a model's state as users see it."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from models.adapters.catalog import AdapterSpec
from models.catalog.catalog import ModelSpec
from models.child_process.child import Child
from models.errors import ModelError
from models.hardware.ram import RAM, Measured, cpu_seconds
from models.memory.budget import Holder, HolderKey
from models.memory.need import Need, Part, PartName, Source, total
from models.types import LoadSettings

StateName = Literal["installed", "loading", "loaded", "failed"]

_numbers = itertools.count(1)
# How long reloading takes, where no load was timed; chosen by eye.
_READ_BYTES_PER_S: Final = 500e6
_ADAPTER_S, _CACHE_S = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class ModelState:
    """One installed model as users see it; `predicted` and `measured` are bytes, while it is loading or loaded."""

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
        """CPU time its process has used so far; None without a process."""
        return None if self.pid is None else cpu_seconds(self.pid)


@dataclass(slots=True)
class ResidentAdapter:
    """An adapter that a child holds or is about to load. `devices` are bytes on each."""

    spec: AdapterSpec
    devices: dict[str, int]
    last_used: float
    leases: int = 0


@dataclass(slots=True, eq=False)
class Resident:
    """One load. Only touched by the event loop's thread.

    `waiters` are the requests that wait for it to be loaded: it is not idle before they have used it. `leaving`: its
    eviction has begun. `stale`: the model's file is gone or has changed. `grown` are the bytes on each device that the
    process holds beyond its reservation. `trimming` has `cache` or the hashes of adapters that the child has been asked
    to free and has not freed yet.
    """

    spec: ModelSpec
    settings: LoadSettings
    parts: tuple[Part, ...]
    source: Source
    last_used: float
    number: int = field(default_factory=lambda: next(_numbers))
    adapters: dict[str, ResidentAdapter] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    child: Child | None = None
    leases: int = 0
    waiters: int = 0
    loaded_at: float = 0.0
    measured: Measured | None = None
    grown: dict[str, int] = field(default_factory=dict)
    leaving: bool = False
    stale: bool = False
    trimming: set[str] = field(default_factory=set)
    trims_again_at: float = 0.0
    error: ModelError | None = None

    @property
    def key(self) -> HolderKey:
        """Unlike the model's id it is never used again."""
        return HolderKey(self.spec.id, self.number)

    def part_key(self, part: str) -> HolderKey:
        """The key of its `cache`, or of an adapter by its hash."""
        return HolderKey(self.spec.id, self.number, part)

    @property
    def usable(self) -> bool:
        return self.child is not None and not self.leaving

    @property
    def idle(self) -> bool:
        return self.usable and self.leases == 0 and self.waiters == 0

    @property
    def predicted(self) -> int:
        """Bytes reserved, caches and adapters included."""
        return sum(self.reserved().values())

    @property
    def bytes(self) -> int:
        return self.predicted + sum(self.grown.values())

    @property
    def used(self) -> int | None:
        """Bytes the process used when last measured; of the file's pages only those that count as weights."""
        if self.measured is None:
            return None
        mapped = min(self.measured.mapped, sum(self.of("mapped").values()))
        return self.measured.private + mapped + sum(self.measured.gpus.values())

    def reserved(self) -> dict[str, int]:
        """Bytes reserved on each device."""
        sums = total(self.parts)
        for adapter in self.adapters.values():
            for device, size in adapter.devices.items():
                sums[device] = sums.get(device, 0) + size
        return sums

    def reserve(self, need: Need) -> None:
        """Replace the reservation by a better known need."""
        self.parts, self.source = need.parts, need.source

    def of(self, name: PartName) -> dict[str, int]:
        """Bytes of one part on each device."""
        return total(part for part in self.parts if part.name == name)

    def without(self, name: PartName) -> None:
        """Drop a part that has been freed."""
        self.parts = tuple(part for part in self.parts if part.name != name)

    def note_measured(self, found: Measured) -> bool:
        """Record what the process uses; True if it exceeds the reservation by more than before."""
        self.measured = found
        reserved = self.reserved()
        private = {RAM: reserved.get(RAM, 0) - self.of("mapped").get(RAM, 0)}
        seen = {RAM: found.private, **found.gpus}
        over = {device: size - {**reserved, **private}.get(device, 0) for device, size in seen.items()}
        before, self.grown = self.grown, {device: size for device, size in over.items() if size > 0}
        return any(size > before.get(device, 0) for device, size in self.grown.items())

    def adapter_devices(self, size: int) -> dict[str, int]:
        """The bytes on each device of an adapter of `size` bytes: it is placed as the weights it changes."""
        weights = total(part for part in self.parts if part.name in ("weights", "mapped"))
        whole = sum(weights.values())
        if not whole:
            return {RAM: size}
        return {device: -(-size * share // whole) for device, share in weights.items() if share}

    def holders(self, now: float, *, pinned: bool) -> Iterator[Holder]:
        """The model, its prompt cache and its adapters, as holders of the budget."""
        whole = total(part for part in self.parts if part.name != "cache")
        for device, size in self.grown.items():
            whole[device] = whole.get(device, 0) + size
        idle_s = max(0.0, now - self.last_used)
        yield Holder(self.key, whole, self.idle, pinned, idle_s, self._reload_s(), self.leaving)
        if cache := self.of("cache"):
            yield self._part_holder("cache", cache, now, idle_s, _CACHE_S)
        for sha256, adapter in self.adapters.items():
            idle_s = max(0.0, now - adapter.last_used)
            yield self._part_holder(sha256, adapter.devices, now, idle_s, _ADAPTER_S, leases=adapter.leases)

    def _part_holder(
        self, part: str, devices: Mapping[str, int], now: float, idle_s: float, reload_s: float, *, leases: int = 0
    ) -> Holder:
        trimming = part in self.trimming
        idle = self.usable and now >= self.trims_again_at and not leases and not trimming
        leaving = self.leaving or trimming
        return Holder(self.part_key(part), devices, idle, idle_s=idle_s, reload_s=reload_s, leaving=leaving)

    def _reload_s(self) -> float:
        if self.child is not None:
            return max(0.1, self.child.loaded.seconds)
        weights = sum(part.bytes for part in self.parts if part.name in ("weights", "mapped"))
        return 0.5 + weights / _READ_BYTES_PER_S
