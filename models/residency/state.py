"""The state that all parts of the manager share: loads, reservations, pins, failures, the budget's limits.

Rule: holds state only; admission and eviction decide. Only touched by the event loop's thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.catalog.catalog import Catalog, ModelSpec
from models.hardware.ram import Measured
from models.memory.budget import Holder, HolderKey
from models.memory.ledger import Ledger
from models.residency.decision_log import Decision, DecisionLog
from models.residency.options import STANDARD, ModelDefaults
from models.residency.pins import Pins
from models.residency.resident import ModelState, Resident, StateName
from models.residency.wait_queue import WaitQueue


@dataclass(frozen=True, slots=True)
class Reservation:
    """Memory held by something other than a language model. `devices` are bytes on each."""

    id: str
    kind: str
    devices: Mapping[str, int]


@dataclass(slots=True)
class ResidencyState:
    """Loads, reservations and what bounds them. `limits` are bytes on each device; `wakeup` is set at every change."""

    catalog: Catalog
    limits: dict[str, int]
    defaults: ModelDefaults = STANDARD
    pins: Pins = field(default_factory=Pins)
    clock: Callable[[], float] = time.monotonic
    measure: Callable[[int], Measured | None] = lambda _: None
    on_change: Callable[[ModelState], None] = lambda _: None
    on_decision: Callable[[Decision], None] = lambda _: None
    residents: list[Resident] = field(default_factory=list)
    queue: WaitQueue = field(default_factory=WaitQueue)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    closing: bool = False
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    decisions: DecisionLog = field(init=False)

    def __post_init__(self) -> None:
        self.decisions = DecisionLog(lambda decision: self.on_decision(decision))

    # -- loads --------------------------------------------------------------------------------------------------------

    def of(self, model_id: str) -> list[Resident]:
        """All loads of a model: more than one while a new version of its file takes over."""
        return [one for one in self.residents if one.spec.id == model_id]

    def current(self, spec: ModelSpec) -> Resident | None:
        """The load of exactly this content, finished or in progress."""
        found = (one for one in self.of(spec.id) if one.spec.content == spec.content and not one.leaving)
        return next(found, None)

    def older(self, spec: ModelSpec) -> Resident | None:
        """A loaded earlier content of the same model."""
        found = (one for one in self.of(spec.id) if one.spec.content != spec.content and one.usable)
        return next(found, None)

    def by_key(self, key: HolderKey) -> Resident | None:
        return next((one for one in self.residents if one.key == key), None)

    def add(self, resident: Resident) -> None:
        self.residents.append(resident)
        self.failures.pop(resident.spec.id, None)
        self.changed(resident.spec)

    def drop(self, resident: Resident) -> bool:
        """Remove it; False if it was gone already."""
        try:
            self.residents.remove(resident)
        except ValueError:
            return False
        return True

    def mark_stale(self) -> None:
        """Mark the loads whose file is gone, or has another content by now."""
        current = {spec.id: spec.content for spec in self.catalog.list()}
        for one in self.residents:
            one.stale = current.get(one.spec.id) != one.spec.content

    # -- memory -------------------------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """A snapshot of what holds memory of the budget, and of the limits."""
        holders = [
            Holder(HolderKey(one.id), one.devices, idle=False, pinned=True) for one in self.reservations.values()
        ]
        now = self.clock()
        for resident in self.residents:
            pinned = resident.spec.id in self.pins and not resident.stale
            holders += resident.holders(now, pinned=pinned)
        return Ledger(dict(self.limits), tuple(holders))

    # -- views --------------------------------------------------------------------------------------------------------

    def state(self, spec: ModelSpec) -> ModelState:
        """The state of a model as users see it. Of two loads of it, the one that answers counts."""
        loads = sorted(self.of(spec.id), key=lambda one: (one.usable, one.number))
        shown = loads[-1] if loads else None
        child = shown.child if shown else None
        reason = self.failures.get(spec.id)
        name: StateName = "loaded" if child else "loading" if shown else "failed" if reason else "installed"
        return ModelState(
            spec=spec,
            state=name,
            reason=reason,
            pinned=spec.id in self.pins,
            leases=sum(one.leases for one in loads),
            context=child.loaded.context if child else None,
            predicted=shown.predicted if shown else None,
            measured=shown.used if shown else None,
            pid=child.pid if child else None,
        )

    def changed(self, spec: ModelSpec) -> None:
        """Publish the model's state, and wake all waiting requests."""
        self.notify()
        self.on_change(self.state(spec))

    def notify(self) -> None:
        """Wake all waiting requests, so that each tries again."""
        wakeup, self.wakeup = self.wakeup, asyncio.Event()
        wakeup.set()
