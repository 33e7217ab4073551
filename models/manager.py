"""Which models are in memory, and who may use them: leases, reservations, eviction, idle time-outs.

Rules: a model is used through a lease and never unloaded while one is out. Memory is reserved before a child is
started (see `budget`); a load is a task of the manager's own, so a caller who gives up does not break it for others.
Loads are granted in the order they were asked for. Every wait has a deadline and every queue an end: ModelBusy.
Everything belongs to the event loop's thread; what blocks runs in threads.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from models.adapters import AdapterCatalog, AdapterRef, AdapterSpec, check_fits
from models.budget import Holder, Never, Wait, plan
from models.catalog import Catalog, ModelSpec
from models.child import Child
from models.errors import ModelBusy, ModelCrashed, ModelError, ModelInUse, ModelLoadFailed, ModelTooLarge
from models.lease import Lease
from models.memory import owned_bytes
from models.process import Spawner
from models.protocol import LoadSettings
from models.residents import STANDARD, ModelDefaults, ModelState, Resident, StateName

_log = logging.getLogger(__name__)

__all__ = ["Manager", "ModelDefaults", "ModelState"]


class Manager:
    """Loads, shares and unloads models within `budget_bytes`. An async context manager."""

    def __init__(
        self,
        catalog: Catalog,
        adapters: AdapterCatalog,
        *,
        budget_bytes: int,
        defaults: ModelDefaults = STANDARD,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[ModelState], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.adapters = adapters
        self.budget_bytes = budget_bytes
        self._defaults = defaults
        self._clock = clock
        self._on_change = on_change
        self._residents: dict[str, Resident] = {}
        self._failures: dict[str, str] = {}
        self._pinned: set[str] = set()
        self._held: dict[str, int] = {}  # of the budget, by what is no language model
        self._line: deque[object] = deque()  # tickets of those who wait for room, first come first served
        self._waiting = 0
        self._pulse = asyncio.Event()
        self._fits: set[tuple[str, str]] = set()
        self._spawner = Spawner()
        self._watch: asyncio.Task[None] | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._watch_forever(), name="models watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all children. Whoever still holds a lease gets ModelCrashed."""
        self._closing = True
        self._notify()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await asyncio.gather(*(self._stop(resident, "the end") for resident in list(self._residents.values())))
        await asyncio.to_thread(self._spawner.close)

    # -- use ----------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def lease(
        self, model_id: str, adapters: Sequence[AdapterRef] = (), *, wait_s: float | None = None
    ) -> AsyncIterator[Lease]:
        """The model, loaded if need be, held for the block.

        Raises UnknownModel, UnknownAdapter, InvalidModelFile (an adapter of another base), ModelTooLarge,
        ModelLoadFailed, and ModelBusy if it cannot be had within `wait_s` seconds (by default as configured).
        """
        spec = self.catalog.get(model_id)
        chosen = [(self.adapters.get(ref.id), ref.scale) for ref in adapters]
        for adapter, _ in chosen:
            await self._check_fits(adapter, spec)
        wait = self._defaults.wait_s if wait_s is None else wait_s
        resident = await self._acquire(spec, wait)
        assert resident.child is not None
        lease = Lease(spec, resident.child, chosen, wait_s=wait, queue=self._defaults.queue)
        try:
            yield lease
        finally:
            lease.close()
            self._release(resident)

    async def load(self, model_id: str) -> ModelState:
        """Have the model in memory. Raises as `lease` does."""
        resident = await self._acquire(self.catalog.get(model_id), self._defaults.wait_s)
        self._release(resident)
        return self.state(model_id)

    async def unload(self, model_id: str) -> ModelState:
        """Free its memory. Raises UnknownModel, or ModelInUse while it is loading or answering."""
        spec = self.catalog.get(model_id)
        self._failures.pop(model_id, None)
        resident = self._residents.get(model_id)
        if resident is not None:
            if not resident.idle and not resident.leaving:
                doing = "answering" if resident.child else "loading"
                raise ModelInUse(f"unloading the model {spec.id}", f"it is {doing}", "try again when it is done")
            await self._stop(resident, "asked for")
        return self.state(model_id)

    async def remove(self, model_id: str) -> None:
        """Unload it and delete it from the disk. Raises UnknownModel, ModelInUse, ModelBusy, ModelError."""
        await self.unload(model_id)
        self._pinned.discard(model_id)
        await asyncio.to_thread(self.catalog.remove, model_id)

    def pin(self, model_id: str) -> ModelState:
        """Never unload it to make room or for idleness. Raises UnknownModel."""
        return self._set_pinned(model_id, pinned=True)

    def unpin(self, model_id: str) -> ModelState:
        """Raises UnknownModel."""
        return self._set_pinned(model_id, pinned=False)

    async def rescan(self) -> None:
        """Look at the folders again; models whose file is gone or another are unloaded as soon as they are idle."""
        await asyncio.to_thread(self.catalog.rescan)
        await asyncio.to_thread(self.adapters.rescan)
        self._failures.clear()
        await self._stop_stale()
        self._notify()

    def hold(self, holder_id: str, size: int, why_not: str) -> None:
        """Count `size` bytes of the budget as held for good by something else, such as the embedding model.

        `why_not` is for whoever asks for a language model of this id.
        """
        self._held[holder_id] = size
        self.catalog.others[holder_id] = why_not

    # -- looking ------------------------------------------------------------------------------------------------------

    def states(self) -> tuple[ModelState, ...]:
        """All installed models, by id."""
        return tuple(self._state(spec) for spec in self.catalog.list())

    def state(self, model_id: str) -> ModelState:
        """Raises UnknownModel."""
        return self._state(self.catalog.get(model_id))

    def holders(self) -> tuple[Holder, ...]:
        """Who holds memory of the budget now."""
        held = (Holder(id=key, bytes=size, idle=False, pinned=True) for key, size in self._held.items())
        return *held, *(
            Holder(
                id=key,
                bytes=resident.bytes,
                idle=resident.idle,
                pinned=key in self._pinned,
                last_used=resident.last_used,
            )
            for key, resident in self._residents.items()
        )

    async def measure(self) -> None:
        """Measure the memory of all loaded models anew."""
        for resident in list(self._residents.values()):
            if resident.child is not None and resident.child.alive:
                resident.measured = await asyncio.to_thread(owned_bytes, resident.child.pid)

    def _state(self, spec: ModelSpec) -> ModelState:
        resident = self._residents.get(spec.id)
        child = resident.child if resident else None
        reason = self._failures.get(spec.id)
        state: StateName = "loaded" if child else "loading" if resident else "failed" if reason else "installed"
        return ModelState(
            spec=spec,
            state=state,
            reason=reason,
            pinned=spec.id in self._pinned,
            leases=resident.leases if resident else 0,
            context=child.loaded.context if child else None,
            predicted=resident.reserved if resident else None,
            measured=resident.measured if resident else None,
            pid=child.pid if child else None,
        )

    # -- acquiring ----------------------------------------------------------------------------------------------------

    async def _acquire(self, spec: ModelSpec, wait_s: float) -> Resident:
        what = f"using the model {spec.id}"
        if self._waiting >= self._defaults.queue:
            raise ModelBusy(what, f"{self._waiting} requests wait for a model already", "try again in a while")
        self._waiting += 1
        ticket = object()
        try:
            async with asyncio.timeout(wait_s):
                return await self._grant(spec, ticket, what)
        except TimeoutError:
            resident = self._residents.get(spec.id)
            loading = resident is not None and resident.task is not None
            why = f"it {'was not loaded' if loading else 'did not come free'} within {wait_s:g} s"
            raise ModelBusy(what, why, "try again in a while, or unload other models") from None
        finally:
            self._waiting -= 1
            if ticket in self._line:
                self._line.remove(ticket)
                self._notify()

    async def _grant(self, spec: ModelSpec, ticket: object, what: str) -> Resident:
        """Wait until the model is loaded, starting the load when it is our turn."""
        joined: Resident | None = None
        while True:
            if self._closing:
                raise ModelBusy(what, "the service is stopping", "try again when it runs")
            if joined is not None and joined.error is not None:
                raise joined.error
            resident = self._residents.get(spec.id)
            if resident is None:
                started = self._try_load(spec, ticket, what)
                if started is not None:
                    joined = started
                    continue
            elif resident.spec.content != spec.content:
                if resident.idle:
                    await self._stop(resident, "its file is another")
                    continue
            elif resident.child is not None and not resident.leaving:
                resident.leases += 1
                return resident
            elif not resident.leaving:
                joined = resident
            await self._pulse.wait()

    def _try_load(self, spec: ModelSpec, ticket: object, what: str) -> Resident | None:
        """Reserve and begin to load, if it is this ticket's turn and there is room. Raises ModelTooLarge."""
        if ticket not in self._line:
            self._line.append(ticket)
        settings = self._defaults.settings()
        wanted = spec.header.need_bytes(settings)
        decision = plan(self.budget_bytes, self.holders(), wanted)
        if isinstance(decision, Never):
            raise _too_large(what, wanted, self.budget_bytes, decision, unpin=bool(self._pinned & {*decision.pinned}))
        if self._line[0] is not ticket or isinstance(decision, Wait):
            return None
        self._line.remove(ticket)
        victims = [self._residents[key] for key in decision.victims]
        for victim in victims:
            _log.info("unloading the model %s: to make room for %s", victim.spec.id, spec.id)
            victim.leaving = True
        resident = Resident(spec, wanted, self._clock())
        self._residents[spec.id] = resident
        self._failures.pop(spec.id, None)
        resident.task = asyncio.create_task(self._load(resident, victims, settings), name=f"load {spec.id}")
        self._changed(spec)
        return resident

    async def _load(self, resident: Resident, victims: Sequence[Resident], settings: LoadSettings) -> None:
        """The task of one load; leaves either a child or an error in the resident."""
        spec = resident.spec
        try:
            await asyncio.gather(*(self._stop(victim, f"to make room for {spec.id}") for victim in victims))
            await self._check_file(spec)
            child = await Child.start(
                spec.id, spec.path, settings, self._spawner, deadline_s=self._defaults.load_s, clock=self._clock
            )
        except BaseException as error:
            interrupted = ModelLoadFailed(f"loading the model {spec.id}", "it was interrupted", "try again")
            resident.error = error if isinstance(error, ModelError) else interrupted
            self._failures[spec.id] = str(resident.error)
            self._residents.pop(spec.id, None)
            if not self._closing:
                _log.warning("%s", resident.error)
            if not isinstance(error, ModelError):
                raise
        else:
            child.on_death = lambda error: self._on_death(resident, error)
            resident.child = child
            resident.last_used = self._clock()
            _log.info("loaded the model %s in %.1f s, process %d", spec.id, child.loaded.seconds, child.pid)
            if not child.alive:
                self._on_death(resident, ModelCrashed(f"loading the model {spec.id}", "its process has ended"))
            resident.measured = await asyncio.to_thread(owned_bytes, child.pid)
        finally:
            resident.task = None
            self._changed(spec)

    async def _check_file(self, spec: ModelSpec) -> None:
        """Raises ModelLoadFailed if the file is not what was imported. Hashing it stops when the load is cancelled."""
        given_up = threading.Event()

        def going_on(_done: int, _total: int) -> None:
            if given_up.is_set():
                raise ModelLoadFailed(f"loading the model {spec.id}", "it was interrupted", "try again")

        try:
            await asyncio.to_thread(self.catalog.check_unchanged, spec, going_on)
        finally:
            given_up.set()

    def _release(self, resident: Resident) -> None:
        resident.leases -= 1
        resident.last_used = self._clock()
        self._notify()

    # -- leaving ------------------------------------------------------------------------------------------------------

    async def _stop(self, resident: Resident, why: str) -> None:
        """End a resident, whatever it is doing, and give its reservation back once its memory has come back."""
        if resident.child is not None and not resident.leaving:
            _log.info("unloading the model %s: %s", resident.spec.id, why)
        resident.leaving = True
        if resident.task is not None and resident.task is not asyncio.current_task():
            resident.task.cancel()
            await asyncio.wait([resident.task])
        if resident.child is not None:
            await resident.child.stop()
        if self._residents.get(resident.spec.id) is resident:
            del self._residents[resident.spec.id]
        self._changed(resident.spec)

    def _on_death(self, resident: Resident, error: ModelCrashed) -> None:
        if not resident.leaving:
            _log.warning("the process of the model %s has died: %s", resident.spec.id, error.why)
        if self._residents.get(resident.spec.id) is resident:
            del self._residents[resident.spec.id]
            self._failures[resident.spec.id] = error.why
        self._changed(resident.spec)

    async def _stop_stale(self) -> None:
        current = {spec.id: spec.content for spec in self.catalog.list()}
        for key, resident in list(self._residents.items()):
            if current.get(key) != resident.spec.content and resident.idle:
                await self._stop(resident, "its file is gone or another")

    async def evict_idle(self) -> None:
        """Unload what has been idle for longer than configured."""
        limit = self._defaults.idle_s
        for key, resident in list(self._residents.items()):
            tired = bool(limit) and self._clock() - resident.last_used > (limit or 0)
            if tired and resident.idle and key not in self._pinned:
                await self._stop(resident, f"idle for more than {limit:g} s")

    async def _watch_forever(self) -> None:
        while True:
            await asyncio.sleep(self._defaults.watch_s)
            try:
                self._kill_stalled()
                await self.evict_idle()
                await self._stop_stale()
            except Exception:  # noqa: BLE001 - the watch must survive; it is logged
                _log.exception("watching over the loaded models failed; it goes on")

    def _kill_stalled(self) -> None:
        for resident in self._residents.values():
            if resident.child is not None and resident.child.stalled(self._defaults.stall_s):
                resident.child.kill_stalled()

    # -- small things -------------------------------------------------------------------------------------------------

    async def _check_fits(self, adapter: AdapterSpec, base: ModelSpec) -> None:
        pair = (adapter.sha256, base.sha256)
        if pair not in self._fits:
            await asyncio.to_thread(check_fits, adapter, base)
            self._fits.add(pair)

    def _set_pinned(self, model_id: str, *, pinned: bool) -> ModelState:
        spec = self.catalog.get(model_id)
        (self._pinned.add if pinned else self._pinned.discard)(model_id)
        self._changed(spec)
        return self._state(spec)

    def _changed(self, spec: ModelSpec) -> None:
        self._notify()
        self._on_change(self._state(spec))

    def _notify(self) -> None:
        """Wake everyone who waits, to look again."""
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()


def _too_large(what: str, wanted: int, budget: int, never: Never, *, unpin: bool) -> ModelTooLarge:
    pinned = f", of which what stays loaded ({', '.join(never.pinned)}) leaves {never.room}" if never.pinned else ""
    return ModelTooLarge(
        what,
        f"it needs about {wanted} bytes of memory, and the budget is {budget}{pinned}",
        "give it a smaller context, import a smaller quantisation, or raise the memory budget"
        + ("; or unpin a model" if unpin else ""),
    )
