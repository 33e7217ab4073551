"""Leases, loads and unloads models: the entrance to `admission`, `loader`, `eviction` and `supervisor`.

Rules: a model is used through a lease and never unloaded while it is leased. Memory is reserved before a child is
started (see `memory.budget`). Everything belongs to the event loop's thread; what blocks runs in other threads.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from models.adapters.catalog import AdapterCatalog, AdapterSpec, check_fits
from models.catalog.catalog import Catalog, ModelSpec
from models.child_process.spawner import Spawner
from models.errors import InvalidPrompt, ModelInUse
from models.hardware.gpus import Devices
from models.hardware.psi import PressureProbe, PressureReading
from models.hardware.ram import RAM, Measured, measure
from models.memory.budget import Holder
from models.memory.estimator import Estimator
from models.memory.load_planner import LoadPlanner
from models.memory.measurements import Measurements
from models.memory.need import Need
from models.residency.admission import Admission, ModelRequest
from models.residency.background_loads import BackgroundLoads
from models.residency.decision_log import Decision
from models.residency.eviction import Evictor
from models.residency.lease import Lease
from models.residency.loader import Loader
from models.residency.memory_report import MemoryReport, holder_reports
from models.residency.options import STANDARD, ModelDefaults
from models.residency.pins import Pins
from models.residency.pressure_relief import PressureRelief
from models.residency.resident import ModelState, Resident
from models.residency.state import Reservation, ResidencyState
from models.residency.supervisor import Supervisor
from models.types import AdapterRef

__all__ = ["Manager", "ModelDefaults", "ModelState"]


class Manager:
    """Loads, shares and unloads models within a budget. An async context manager.

    `state` is the folder for what survives restarts: pins and measured needs.
    """

    def __init__(
        self,
        catalog: Catalog,
        adapters: AdapterCatalog,
        *,
        budget_bytes: int,
        defaults: ModelDefaults = STANDARD,
        state: Path | None = None,
        devices: Devices | None = None,
        pressure: Callable[[], PressureReading | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[ModelState], None] = lambda _: None,
        on_decision: Callable[[Decision], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.adapters = adapters
        self._defaults = defaults
        self._devices = devices or Devices()
        self._spawner = Spawner()
        self._measurements = Measurements(state / "measurements.json" if state else None)
        self._residency = ResidencyState(
            catalog,
            {RAM: budget_bytes, **self._devices.budgets()},
            defaults,
            Pins(state / "pins.json" if state else None),
            clock=clock,
            measure=self._measured,
            on_change=on_change,
            on_decision=on_decision,
        )
        estimator = Estimator(self._spawner, self._measurements, self._devices, clock=clock)
        self._evictor = Evictor(self._residency)
        self._planner = LoadPlanner(estimator)
        self._loader = Loader(self._residency, self._evictor, estimator, self._planner, self._spawner)
        self._background = BackgroundLoads(self._residency, self._load)
        self._admission = Admission(self._residency, self._planner, self._loader, self._evictor, self._background.swap)
        self._pressure = PressureRelief(pressure or PressureProbe())
        self._supervisor = Supervisor(
            self._residency, self._evictor, self._background, estimator, self._devices, self._pressure
        )
        self._supervision: asyncio.Task[None] | None = None
        self._fits: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        self._supervision = asyncio.create_task(self._supervisor.run(), name="models supervisor")
        self._background.preload(dict.fromkeys((*sorted(self._residency.pins.ids), *self._defaults.preload)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all children. Leases still held raise ModelCrashed."""
        self._residency.closing = True
        self._residency.notify()
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait([self._supervision])
        await self._background.close()
        await asyncio.gather(
            *(self._evictor.stop(resident, "the service is stopping") for resident in list(self._residency.residents))
        )
        await asyncio.to_thread(self._spawner.close)
        await asyncio.to_thread(self._measurements.save)

    # -- use ----------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def lease(
        self, model_id: str, adapters: Sequence[AdapterRef] = (), *, wait_s: float | None = None
    ) -> AsyncIterator[Lease]:
        """Lease the model for the block; loads it if necessary.

        Raises UnknownModel, UnknownAdapter, InvalidPrompt (an adapter given twice), InvalidModelFile (an adapter of
        another base), ModelTooLarge, ModelLoadFailed, and ModelBusy if it is not available within `wait_s` seconds (by
        default as configured).
        """
        spec = self.catalog.get(model_id)
        chosen = [(self.adapters.get(ref.id), ref.scale) for ref in adapters]
        used = tuple(adapter for adapter, _ in chosen)
        _refuse_twice(spec, used)
        await self._check_fit(used, spec)
        wait = self._defaults.wait_s if wait_s is None else wait_s
        request = ModelRequest(spec, used, serve_old=lambda older: self._known_to_fit(used, older))
        resident = await self._admission.acquire(request, wait)
        try:
            if not self._known_to_fit(used, resident.spec):  # a new version took over while this waited
                await self._check_fit(used, resident.spec)
            assert resident.child is not None
            with contextlib.closing(
                Lease(resident.spec, resident.child, chosen, wait_s=wait, queue=self._defaults.queue)
            ) as lease:
                yield lease
        finally:
            self._admission.release(resident, used)
            await self._unload_if_stale(resident)

    @contextlib.asynccontextmanager
    async def room(
        self, holder_id: str, kind: str, devices: Mapping[str, int], *, wait_s: float | None = None
    ) -> AsyncIterator[None]:
        """Reserve memory of the budget for something else, such as training, for the block.

        Waits and evicts as for a model. Raises ModelTooLarge, ModelBusy.
        """
        wait = self._defaults.wait_s if wait_s is None else wait_s
        async with self._admission.room(Reservation(holder_id, kind, dict(devices)), wait):
            yield

    def reserve(self, holder_id: str, size: int, why_not: str, *, kind: str = "other") -> None:
        """Reserve `size` bytes of the budget permanently for something else, such as the embedding model.

        `why_not` is the reason in the error when this id is used as a language model.
        """
        self._residency.reservations[holder_id] = Reservation(holder_id, kind, {RAM: size})
        self.catalog.others[holder_id] = why_not

    def release(self, holder_id: str) -> None:
        """End what `reserve` reserved under this id."""
        self._residency.reservations.pop(holder_id, None)
        self.catalog.others.pop(holder_id, None)

    async def load(self, model_id: str) -> ModelState:
        """Load the current version of the model. Raises as `lease` does."""
        await self._load(self.catalog.get(model_id))
        return self.state(model_id)

    async def unload(self, model_id: str) -> ModelState:
        """Free its memory. Raises UnknownModel, or ModelInUse while it is loading or answering."""
        spec = self.catalog.get(model_id)
        self._residency.failures.pop(model_id, None)
        loads = self._residency.of(model_id)
        if busy := [one for one in loads if not one.idle and not one.leaving]:
            doing = "answering" if busy[0].child else "loading"
            raise ModelInUse(f"unloading the model {spec.id}", f"it is {doing}", "try again when it has finished")
        for resident in loads:
            await self._evictor.stop(resident, "on request")
        return self.state(model_id)

    async def remove(self, model_id: str) -> None:
        """Unload the model and delete it from the disk. Raises UnknownModel, ModelInUse, ModelBusy, ModelError."""
        await self.unload(model_id)
        await asyncio.to_thread(self._residency.pins.set, model_id, pinned=False)
        await asyncio.to_thread(self.catalog.remove, model_id)

    async def pin(self, model_id: str) -> ModelState:
        """Keep the model in memory: load it now and at every start, and never evict it.

        Returns before it is loaded. Raises UnknownModel, or ModelError if the pin cannot be saved.
        """
        state = await self._set_pinned(model_id, pinned=True)
        if state.state != "loaded":
            self._background.begin(state.spec)
        return state

    async def unpin(self, model_id: str) -> ModelState:
        """Allow the model to be evicted again. Raises UnknownModel, ModelError."""
        return await self._set_pinned(model_id, pinned=False)

    async def rescan(self) -> None:
        """Rescan the folders of models and adapters.

        A model whose file is gone is unloaded as soon as it is idle. One whose file has changed is loaded again, and
        the old version answers until then.
        """
        await asyncio.to_thread(self.catalog.rescan)
        await asyncio.to_thread(self.adapters.rescan)
        self._residency.failures.clear()
        self._background.forget_failures()
        await self._supervisor.replace_stale()
        self._residency.notify()

    # -- views --------------------------------------------------------------------------------------------------------

    @property
    def defaults(self) -> ModelDefaults:
        """How models are loaded."""
        return self._defaults

    @property
    def budget_bytes(self) -> int:
        """The budget of main memory."""
        return self._residency.limits[RAM]

    @budget_bytes.setter
    def budget_bytes(self, size: int) -> None:
        self._residency.limits[RAM] = size
        self._residency.notify()

    def states(self) -> tuple[ModelState, ...]:
        """All installed models, by id."""
        return tuple(self._residency.state(spec) for spec in self.catalog.list())

    def state(self, model_id: str) -> ModelState:
        """Raises UnknownModel."""
        return self._residency.state(self.catalog.get(model_id))

    def need(self, model_id: str) -> Need:
        """What loading it would reserve, as far as is known without a dry run. Raises UnknownModel."""
        return self._planner.need(self.catalog.get(model_id), self._defaults.settings(model_id))

    def holders(self) -> tuple[Holder, ...]:
        """What holds memory of the budget now; caches and adapters are holders of their own."""
        return self._residency.ledger().holders

    def report(self) -> MemoryReport:
        """The budget, its holders and the latest decisions."""
        ledger, decisions, reading = self._residency.ledger(), self._residency.decisions, self._pressure.reading
        return MemoryReport(
            limits=ledger.limits,
            used=ledger.used(),
            holders=holder_reports(self._residency),
            decisions=decisions.newest(),
            last_eviction=decisions.last("evicted"),
            waiting=self._admission.waiting,
            pressure=reading.some if reading else None,
            short=self._pressure.short,
        )

    async def measure(self) -> None:
        """Measure the memory of all loaded models."""
        await self._supervisor.measure()

    async def evict_idle(self) -> None:
        """Unload models that have been idle for longer than configured."""
        await self._evictor.evict_idle()

    async def relieve_pressure(self) -> None:
        """Evict one cache, adapter or idle model if memory is short."""
        await self._supervisor.relieve_pressure()

    # -- internals ----------------------------------------------------------------------------------------------------

    async def _load(self, spec: ModelSpec) -> None:
        """Load the current version; an earlier one is unloaded as soon as it is idle."""
        resident = await self._admission.acquire(ModelRequest(spec, serve_old=lambda _: False), self._defaults.wait_s)
        self._admission.release(resident)
        await self._evictor.stop_stale()

    async def _unload_if_stale(self, resident: Resident) -> None:
        if resident.idle and resident.stale:
            await self._evictor.stop_stale()

    async def _check_fit(self, adapters: Sequence[AdapterSpec], base: ModelSpec) -> None:
        for adapter in adapters:
            await asyncio.to_thread(self.adapters.check_unchanged, adapter)
            if not self._known_to_fit([adapter], base):
                await asyncio.to_thread(check_fits, adapter, base)
                self._fits.add((adapter.sha256, base.sha256))

    def _known_to_fit(self, adapters: Sequence[AdapterSpec], base: ModelSpec) -> bool:
        """Reads no files: that of an earlier version may be gone."""
        return all((adapter.sha256, base.sha256) in self._fits for adapter in adapters)

    async def _set_pinned(self, model_id: str, *, pinned: bool) -> ModelState:
        spec = self.catalog.get(model_id)
        await asyncio.to_thread(self._residency.pins.set, model_id, pinned=pinned)
        self._residency.decisions.note("pinned" if pinned else "unpinned", model_id, "on request")
        self._residency.changed(spec)
        return self._residency.state(spec)

    def _measured(self, pid: int) -> Measured | None:
        found = measure(pid)
        return found and Measured(found.private, found.mapped, self._devices.used_by(pid))


def _refuse_twice(spec: ModelSpec, adapters: Sequence[AdapterSpec]) -> None:
    """Raises InvalidPrompt for two strengths of one adapter: it is unclear whether their sum or one is meant."""
    contents = [adapter.sha256 for adapter in adapters]
    if twice := [adapter.id for adapter in adapters if contents.count(adapter.sha256) > 1]:
        why = f"the same adapter is given twice: {', '.join(twice)}"
        raise InvalidPrompt(f"using the model {spec.id}", why, "name each adapter once, with the strength you want")
