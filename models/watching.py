"""What is looked after while models are loaded: stalls, idleness, files that changed, growth, memory that gets short.

Rule: one task, which survives every error of a single look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from models.background import BackgroundLoads
from models.devices import Devices
from models.estimator import Estimator
from models.leaving import Leaver
from models.need import RAM
from models.pressure import Pressure
from models.residents import Resident
from models.roster import Roster

_log = logging.getLogger(__name__)


class Watch:
    """Looks at everything again and again."""

    def __init__(
        self,
        roster: Roster,
        leaver: Leaver,
        background: BackgroundLoads,
        estimator: Estimator,
        devices: Devices,
        pressure: Pressure,
    ) -> None:
        self._roster = roster
        self._leaver = leaver
        self._background = background
        self._estimator = estimator
        self._devices = devices
        self._pressure = pressure
        self._measured_at = roster.clock()

    async def forever(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._roster.defaults.watch_s)
            for look in (
                self._kill_stalled,
                self._leaver.evict_idle,
                self.replace_stale,
                self._measure_now_and_then,
                self.ease,
            ):
                await self._try(look)

    async def _try(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Exception:  # noqa: BLE001 - the watch must survive; it is logged
            _log.exception("watching over the loaded models failed; it goes on")

    async def _kill_stalled(self) -> None:
        for resident in self._roster.residents:
            if resident.child is not None and resident.child.stalled(self._roster.defaults.stall_s):
                resident.child.kill_stalled()

    async def replace_stale(self) -> None:
        """Unload what is gone from the disk, and begin to load what is another content now."""
        await self._leaver.stop_stale()
        installed = {spec.id: spec for spec in self._roster.catalog.list()}
        for resident in self._roster.residents:
            spec = installed.get(resident.spec.id)
            if resident.stale and resident.usable and spec is not None and self._roster.current(spec) is None:
                self._background.swap(spec)

    async def _measure_now_and_then(self) -> None:
        now = self._roster.clock()
        if now - self._measured_at >= self._roster.defaults.measure_s:
            self._measured_at = now
            await self.measure()
            if not self._pressure.short:
                await self._leaver.restore_caches()

    async def measure(self) -> None:
        """Measure all children; what has outgrown its reservation counts as it is, and others make room for it."""
        for resident in list(self._roster.residents):
            await self._measure(resident)
        self._roster.limits.update(await asyncio.to_thread(self._devices.budgets, ours=self._on_gpus()))

    async def _measure(self, resident: Resident) -> None:
        if resident.child is None or not resident.child.alive:
            return
        found = await asyncio.to_thread(self._roster.measure, resident.child.pid)
        if found is None or not await self._leaver.note_measured(resident, found):
            return
        if (beside := await self._leaver.ask(resident)) is not None:
            alone = replace(found, private=max(0, found.private - beside.adapters - beside.cache))
            await self._estimator.remember(resident.spec, resident.settings, alone)

    def _on_gpus(self) -> dict[str, int]:
        return {device: size for device, size in self._roster.used().items() if device != RAM}

    async def ease(self) -> None:
        """Where memory is short, let caches and idle models go, one look at a time."""
        loading = any(one.child is None for one in self._roster.residents)
        await self._pressure.look(self._roster, self._leaver, loading=loading)
