"""What is looked after while models are loaded: stalls, idleness, files that changed, growth, memory that gets short.

Rules: every look survives its errors. Stalled children are looked for in a task of its own, as the other looks wait for
children to answer and to end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from models.hardware.gpus import Devices
from models.hardware.ram import RAM, Measured
from models.memory.estimator import Estimator
from models.residency.background_loads import BackgroundLoads
from models.residency.eviction import Evictor
from models.residency.pressure_relief import PressureRelief
from models.residency.resident import Resident
from models.residency.state import ResidencyState

_log = logging.getLogger(__name__)


class Supervisor:
    """Looks at everything again and again."""

    def __init__(
        self,
        residency: ResidencyState,
        evictor: Evictor,
        background: BackgroundLoads,
        estimator: Estimator,
        devices: Devices,
        pressure: PressureRelief,
    ) -> None:
        self._residency = residency
        self._evictor = evictor
        self._background = background
        self._estimator = estimator
        self._devices = devices
        self._pressure = pressure
        self._measured_at = residency.clock()

    async def forever(self) -> None:
        """Until cancelled."""
        await asyncio.gather(
            self._again_and_again(self._kill_stalled),
            self._again_and_again(
                self._evictor.evict_idle,
                self.replace_stale,
                self._measure_now_and_then,
                self.ease,
                self._wake,
            ),
        )

    async def _again_and_again(self, *looks: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._residency.defaults.watch_s)
            for look in looks:
                await self._try(look)

    async def _try(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Exception:  # noqa: BLE001 - the watch must survive; it is logged
            _log.exception("watching over the loaded models failed; it goes on")

    async def _kill_stalled(self) -> None:
        for resident in self._residency.residents:
            if resident.child is not None and resident.child.stalled(self._residency.defaults.stall_s):
                resident.child.kill_stalled()

    async def replace_stale(self) -> None:
        """Unload what is gone from the disk, and begin to load what is another content now."""
        await self._evictor.stop_stale()
        installed = {spec.id: spec for spec in self._residency.catalog.list()}
        for resident in self._residency.residents:
            spec = installed.get(resident.spec.id)
            if resident.stale and resident.usable and spec is not None and self._residency.current(spec) is None:
                self._background.swap(spec)

    async def _measure_now_and_then(self) -> None:
        now = self._residency.clock()
        if now - self._measured_at >= self._residency.defaults.measure_s:
            self._measured_at = now
            await self.measure()
            if not self._pressure.short:
                await self._evictor.restore_caches()

    async def measure(self) -> None:
        """Measure all children; what has outgrown its reservation counts as it is, and others make room for it."""
        found = [await self._measured(resident) for resident in list(self._residency.residents)]
        await asyncio.gather(*(self._learn(resident, seen) for resident, seen in filter(None, found)))
        self._residency.limits.update(await asyncio.to_thread(self._devices.budgets, ours=self._on_gpus()))
        self._residency.notify()  # there may be more room than before

    async def _measured(self, resident: Resident) -> tuple[Resident, Measured] | None:
        """What its process uses, if that is news."""
        if resident.child is None or not resident.child.alive:
            return None
        found = await asyncio.to_thread(self._residency.measure, resident.child.pid)
        grew = found is not None and await self._evictor.note_measured(resident, found)
        return (resident, found) if found is not None and grew else None

    async def _learn(self, resident: Resident, found: Measured) -> None:
        if (beside := await self._evictor.ask(resident)) is not None:
            alone = replace(found, private=max(0, found.private - beside.adapters - beside.cache))
            await self._estimator.remember(resident.spec, resident.settings, alone)

    def _on_gpus(self) -> dict[str, int]:
        return {device: size for device, size in self._residency.ledger().used().items() if device != RAM}

    async def _wake(self) -> None:
        """What did not give back in time what it was asked for may be asked again from now on."""
        due = [one for one in self._residency.residents if 0 < one.trims_again_at <= self._residency.clock()]
        for one in due:
            one.trims_again_at = 0.0
        if due:
            self._residency.notify()

    async def ease(self) -> None:
        """Where memory is short, let caches and idle models go, one look at a time."""
        loading = any(one.child is None for one in self._residency.residents)
        await self._pressure.look(self._residency, self._evictor, loading=loading)
