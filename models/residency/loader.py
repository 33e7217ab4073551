"""Loads a model: checks the file, proves its need by a dry run, starts a child, remembers what it uses.

Rules: memory is reserved before the load begins, and a need that proves larger is reserved before the child is started.
If that does not fit, the load is dropped without an error and the requests that wait for it try again. A load is a task
of its own, so a caller that is cancelled does not break it for others.
"""

import asyncio
import threading
from collections.abc import Mapping

from models.catalog.catalog import ModelSpec
from models.child_process.child import Child
from models.child_process.spawner import Spawner
from models.errors import ModelCrashed, ModelError, ModelLoadFailed
from models.memory.budget import Proceed
from models.memory.estimator import Estimator
from models.memory.load_planner import LoadPlanner
from models.residency.eviction import Evictor
from models.residency.resident import Resident
from models.residency.state import ResidencyState


class Loader:
    """Turns reservations into running children."""

    def __init__(
        self,
        residency: ResidencyState,
        evictor: Evictor,
        estimator: Estimator,
        planner: LoadPlanner,
        spawner: Spawner,
    ) -> None:
        self._residency = residency
        self._evictor = evictor
        self._estimator = estimator
        self._planner = planner
        self._spawner = spawner

    def begin(self, resident: Resident) -> None:
        """Start to load what was reserved. In the end it has a child or an error, or it is dropped."""
        resident.task = asyncio.create_task(self._load(resident), name=f"load {resident.spec.id}")

    async def _load(self, resident: Resident) -> None:
        spec = resident.spec
        try:
            await self._check_file(spec)
            if not await self._prove(resident):
                self._residency.drop(resident)
                return
            defaults = self._residency.defaults
            child = await Child.start(
                spec.id, spec.path, resident.settings, self._spawner,
                deadline_s=defaults.load_s, clock=self._residency.clock,
            )  # fmt: skip
        except BaseException as error:
            self._failed(resident, error)
            if not isinstance(error, ModelError):
                raise
        else:
            self._ready(resident, child)
            await self._remember(resident)
        finally:
            resident.task = None
            self._residency.changed(spec)

    async def _prove(self, resident: Resident) -> bool:
        """Reserve what a dry run reports instead of the header's estimate; False if the difference does not fit."""
        spec, settings = resident.spec, resident.settings
        need = await self._planner.prove(spec, settings)
        more = _more(need.devices, resident.reserved())
        if more:
            decision = self._residency.ledger().plan(more, {resident.key})
            if not isinstance(decision, Proceed) or decision.victims:
                why = f"it needs more ({need.source}) than was reserved ({resident.source}); it waits for memory again"
                self._residency.decisions.note("waited", spec.id, why, devices=more)
                return False
        resident.reserve(need)
        self._residency.notify()  # it may be less than was reserved
        return True

    def _failed(self, resident: Resident, error: BaseException) -> None:
        spec = resident.spec
        interrupted = ModelLoadFailed(f"loading the model {spec.id}", "it was interrupted", "try again")
        resident.error = error if isinstance(error, ModelError) else interrupted
        self._residency.failures[spec.id] = str(resident.error)
        self._residency.drop(resident)
        if not self._residency.closing:
            self._residency.decisions.note("failed", spec.id, str(resident.error))

    def _ready(self, resident: Resident, child: Child) -> None:
        spec = resident.spec
        child.on_death = lambda error: self._evictor.on_death(resident, error)
        resident.child = child
        resident.last_used = resident.loaded_at = self._residency.clock()
        self._residency.failures.pop(spec.id, None)
        why = f"in {child.loaded.seconds:.1f} s, process {child.pid}"
        self._residency.decisions.note("loaded", spec.id, why, devices=resident.reserved())
        if not child.alive:
            self._evictor.on_death(resident, ModelCrashed(f"loading the model {spec.id}", "its process has ended"))
        if any(one is not resident for one in self._residency.of(spec.id)):
            self._residency.decisions.note("swapped", spec.id, "its new version answers from now on")

    async def _remember(self, resident: Resident) -> None:
        """Measure it while it holds no adapter and no earlier prompt."""
        if resident.child is None or not resident.child.alive:
            return
        found = await asyncio.to_thread(self._residency.measure, resident.child.pid)
        if found is not None:
            await self._evictor.note_measured(resident, found)
            await self._estimator.remember(resident.spec, resident.settings, found)

    async def _check_file(self, spec: ModelSpec) -> None:
        """Raises ModelLoadFailed if the file is not what was imported. Hashing stops when the load is cancelled."""
        cancelled = threading.Event()

        def on_progress(_done: int, _total: int) -> None:
            if cancelled.is_set():
                raise ModelLoadFailed(f"loading the model {spec.id}", "it was interrupted", "try again")

        try:
            await asyncio.to_thread(self._residency.catalog.check_unchanged, spec, on_progress)
        finally:
            cancelled.set()


def _more(wanted: Mapping[str, int], reserved: Mapping[str, int]) -> dict[str, int]:
    """The bytes by which `wanted` exceeds `reserved`, on each device where it does."""
    over = {device: size - reserved.get(device, 0) for device, size in wanted.items()}
    return {device: size for device, size in over.items() if size > 0}
