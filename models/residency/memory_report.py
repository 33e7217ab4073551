"""The memory report for administrators: the budget and everything that holds some of it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.hardware.ram import cpu_seconds
from models.memory.need import Part, Source
from models.residency.decision_log import Decision
from models.residency.resident import Resident
from models.residency.state import Reservation, ResidencyState


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """An adapter that a model's process may hold; `bytes` over all devices."""

    id: str
    bytes: int
    leases: int


@dataclass(frozen=True, slots=True)
class HolderReport:
    """One holder, in bytes. `parts` are predicted, from `source`; `used` is the process's last measured use."""

    id: str
    kind: str
    devices: Mapping[str, int]
    parts: tuple[Part, ...] = ()
    adapters: tuple[AdapterReport, ...] = ()
    source: Source | Literal[""] = ""
    predicted: int = 0
    used: int | None = None
    state: Literal["held", "loading", "loaded", "leaving"] = "held"
    version: str = ""
    pinned: bool = False
    leases: int = 0
    idle_s: float | None = None
    pid: int | None = None

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time its process has used so far; None without a process."""
        return None if self.pid is None else cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """The budget and its holders, in bytes. `pressure` is the per cent of time that processes waited for memory.

    It is None where the kernel reports none. `waiting` counts requests; while `short`, idle models are evicted.
    """

    limits: Mapping[str, int]
    used: Mapping[str, int]
    holders: tuple[HolderReport, ...]
    decisions: tuple[Decision, ...]
    last_eviction: Decision | None
    waiting: int
    pressure: float | None
    short: bool


def holder_reports(residency: ResidencyState) -> tuple[HolderReport, ...]:
    """Reservations first, then loads in the order they began."""
    return (
        *map(_of_reservation, residency.reservations.values()),
        *(_of_load(residency, one) for one in residency.residents),
    )


def _of_reservation(one: Reservation) -> HolderReport:
    return HolderReport(one.id, one.kind, one.devices, predicted=sum(one.devices.values()), pinned=True)


def _of_load(residency: ResidencyState, one: Resident) -> HolderReport:
    devices = one.reserved()
    for device, size in one.grown.items():
        devices[device] = devices.get(device, 0) + size
    return HolderReport(
        id=one.spec.id,
        kind="model",
        devices=devices,
        parts=one.parts,
        adapters=tuple(
            AdapterReport(held.spec.id, sum(held.devices.values()), held.leases) for held in one.adapters.values()
        ),
        source=one.source,
        predicted=one.predicted,
        used=one.used,
        state="leaving" if one.leaving else "loaded" if one.child is not None else "loading",
        version=one.spec.sha256[:12],
        pinned=one.spec.id in residency.pins and not one.stale,
        leases=one.leases,
        idle_s=max(0.0, residency.clock() - one.last_used) if one.idle else None,
        pid=one.child.pid if one.child is not None else None,
    )
