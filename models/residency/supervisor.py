"""Periodic checks while models are loaded: stalls, idleness, changed files, growth, memory pressure.

Rules: a check that fails is logged and runs again. Stalled children are checked in a task of their own, because the
other checks wait for children to answer and to end.
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
    """Runs all checks every `watch_s` seconds."""

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

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(
            self._repeat(self._kill_stalled),
            self._repeat(
                self._evictor.evict_idle,
                self.replace_stale,
                self._measure_if_due,
                self.relieve_pressure,
                self._retry_trims,
            ),
        )

    async def _repeat(self, *checks: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._residency.defaults.watch_s)
            for check in checks:
                await self._try(check)

    async def _try(self, check: Callable[[], Awaitable[None]]) -> None:
        try:
            await check()
        except Exception:  # noqa: BLE001 - the supervisor must survive; it is logged
            _log.exception("a periodic check of the loaded models failed; it runs again")

    async def _kill_stalled(self) -> None:
        for resident in self._residency.residents:
            if resident.child is not None and resident.child.stalled(self._residency.defaults.stall_s):
                resident.child.kill_stalled()

    async def replace_stale(self) -> None:
        """Unload models whose file is gone, and begin to load the new version of those whose file has changed."""
        await self._evictor.stop_stale()
        installed = {spec.id: spec for spec in self._residency.catalog.list()}
        for resident in self._residency.residents:
            spec = installed.get(resident.spec.id)
            if resident.stale and resident.usable and spec is not None and self._residency.current(spec) is None:
                self._background.swap(spec)

    async def _measure_if_due(self) -> None:
        now = self._residency.clock()
        if now - self._measured_at >= self._residency.defaults.measure_s:
            self._measured_at = now
            await self.measure()
            if not self._pressure.short:
                await self._evictor.restore_caches()

    async def measure(self) -> None:
        """Measure all children. One that has outgrown its reservation counts as measured; others are evicted for it."""
        grown = [await self._grown(resident) for resident in list(self._residency.residents)]
        await asyncio.gather(*(self._remember(resident, seen) for resident, seen in filter(None, grown)))
        self._residency.limits.update(await asyncio.to_thread(self._devices.budgets, ours=self._on_gpus()))
        self._residency.notify()  # there may be more memory than before

    async def _grown(self, resident: Resident) -> tuple[Resident, Measured] | None:
        """What its process uses, if that is more than before."""
        if resident.child is None or not resident.child.alive:
            return None
        found = await asyncio.to_thread(self._residency.measure, resident.child.pid)
        grew = found is not None and await self._evictor.note_measured(resident, found)
        return (resident, found) if found is not None and grew else None

    async def _remember(self, resident: Resident, found: Measured) -> None:
        """The model's own use, without its adapters and cached prompts."""
        if (beside := await self._evictor.request_trim(resident)) is not None:
            alone = replace(found, private=max(0, found.private - beside.adapters - beside.cache))
            await self._estimator.remember(resident.spec, resident.settings, alone)

    def _on_gpus(self) -> dict[str, int]:
        return {device: size for device, size in self._residency.ledger().used().items() if device != RAM}

    async def _retry_trims(self) -> None:
        """Allow another trim of children that did not answer the last one in time."""
        due = [one for one in self._residency.residents if 0 < one.trims_again_at <= self._residency.clock()]
        for one in due:
            one.trims_again_at = 0.0
        if due:
            self._residency.notify()

    async def relieve_pressure(self) -> None:
        """Where memory is short, evict one cache, adapter or idle model."""
        loading = any(one.child is None for one in self._residency.residents)
        await self._pressure.check(self._residency, self._evictor, loading=loading)
