"""Grants models and memory. Each waiting request tries again whenever something has changed: choose, then evict, wait
or refuse, then load.

Rules, against starvation and deadlock:
- Only the first in the queue takes memory. It waits until enough models are idle. Meanwhile no younger request gets a
  lease on a model that will be evicted for it, except during a turn: the first moments after a load, in which the model
  serves all requests that wait for it. Otherwise alternating requests for two models would each cost a load.
- A waiting request holds nothing: a model and its adapters are granted together or not at all.
- What can never fit is refused before it is queued. Every wait has a deadline, and the queue a limit.
- A request waits for a model by name: the current version is looked up at every attempt.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from models.adapters.catalog import AdapterSpec
from models.catalog.catalog import ModelSpec
from models.memory.budget import Never, Plan, Proceed, Wait
from models.memory.load_planner import LoadPlanner, MemoryPlan
from models.memory.need import Source
from models.residency import refusals
from models.residency.eviction import Evictor
from models.residency.loader import Loader
from models.residency.resident import Resident, ResidentAdapter
from models.residency.state import Reservation, ResidencyState
from models.residency.wait_queue import Ticket

# A turn lasts as long as two loads, at least a second and at most a quarter of `wait_s`. Without turns, 200 requests
# for two models in alternation took over 40 s; with them 4 s.
_TURN_S: Final = 1.0
_TURN_LOADS: Final = 2.0
_KNOWN_FROM: Final[Mapping[Source, str]] = {
    "header": "as estimated from its header",
    "dry run": "as a dry run shows",
    "measured": "as measured before",
}


def _any(_: ModelSpec) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model with these adapters. `serve_old` accepts an earlier version of it while the new one is being loaded."""

    spec: ModelSpec
    adapters: tuple[AdapterSpec, ...] = ()
    serve_old: Callable[[ModelSpec], bool] = _any

    @property
    def what(self) -> str:
        return f"using the model {self.spec.id}"


class Admission:
    """Decides which request gets a model or memory, and when."""

    def __init__(
        self,
        residency: ResidencyState,
        planner: LoadPlanner,
        loader: Loader,
        evictor: Evictor,
        begin_swap: Callable[[ModelSpec], None],
    ) -> None:
        self._residency = residency
        self._planner = planner
        self._loader = loader
        self._evictor = evictor
        self._begin_swap = begin_swap
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a model or for memory."""
        return self._waiting

    async def acquire(self, request: ModelRequest, wait_s: float) -> Resident:
        """Lease the loaded model and reserve its adapters' memory; `release` it afterwards.

        Raises ModelTooLarge, ModelLoadFailed, UnknownModel if it is removed meanwhile, or ModelBusy if it is not
        available within `wait_s` seconds.
        """
        ticket = Ticket(model=request.spec.id)
        with self._queued(request.what, request.spec.id, ticket):
            try:
                async with asyncio.timeout(wait_s):
                    return await self._until_granted(request, ticket)
            except TimeoutError:
                loading = ticket.joined is not None
                why = f"it {'was not loaded' if loading else 'did not come free'} within {wait_s:g} s"
                hint = "try again in a while, or unload other models"
                raise refusals.busy(self._residency, request.what, request.spec.id, why, hint) from None

    def release(self, resident: Resident, adapters: tuple[AdapterSpec, ...] = ()) -> None:
        """End a lease that `acquire` granted."""
        resident.leases -= 1
        now = resident.last_used = self._residency.clock()
        for spec in adapters:
            held = resident.adapters.get(spec.sha256)
            if held is not None:
                held.leases, held.last_used = held.leases - 1, now
        self._residency.notify()

    @contextlib.asynccontextmanager
    async def room(self, reservation: Reservation, wait_s: float) -> AsyncIterator[None]:
        """Reserve memory for something other than a language model, for the block. Raises ModelTooLarge, ModelBusy."""
        what = f"reserving memory for {reservation.id}"
        ticket = Ticket(model=reservation.id, devices=dict(reservation.devices))
        with self._queued(what, reservation.id, ticket):
            try:
                async with asyncio.timeout(wait_s):
                    await self._until_room(ticket, what)
            except TimeoutError:
                why = f"no memory came free within {wait_s:g} s"
                hint = "try again in a while, or unload models"
                raise refusals.busy(self._residency, what, reservation.id, why, hint) from None
            self._residency.reservations[reservation.id] = reservation
        self._residency.decisions.note(
            "reserved", reservation.id, f"for {reservation.kind}", devices=reservation.devices
        )
        try:
            yield
        finally:
            self._residency.reservations.pop(reservation.id, None)
            self._residency.notify()

    # -- waiting ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _queued(self, what: str, model_id: str, ticket: Ticket) -> Iterator[None]:
        if self._waiting >= self._residency.defaults.queue:
            why = f"{self._waiting} requests are already waiting for a model"
            raise refusals.busy(self._residency, what, model_id, why, "try again in a while")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self._join(ticket, None)
            self._leave_queue(ticket)

    async def _until_granted(self, request: ModelRequest, ticket: Ticket) -> Resident:
        while True:
            wakeup = self._residency.wakeup
            spec = self._residency.catalog.get(request.spec.id)  # it may be another version by now
            failed = ticket.joined
            if failed is not None and failed.error is not None and failed.spec.content == spec.content:
                raise failed.error
            if (granted := await self._try_to_grant(replace(request, spec=spec), ticket)) is not None:
                return granted
            if self._residency.closing:
                raise refusals.stopping(request.what)
            await wakeup.wait()

    async def _try_to_grant(self, request: ModelRequest, ticket: Ticket) -> Resident | None:
        """Take the model if it is available, or start what makes it available; None to try again at the next change."""
        if self._residency.closing:
            return None
        current, older = self._residency.current(request.spec), self._residency.older(request.spec)
        if current is not None and current.usable:
            return await self._use(current, request, ticket)
        if older is not None and request.serve_old(older.spec):
            self._begin_swap(request.spec)
            return await self._use(older, request, ticket)
        if current is None:
            await self._start(request, ticket)
            return None
        self._join(ticket, current)
        self._leave_queue(ticket)
        return None

    async def _until_room(self, ticket: Ticket, what: str) -> None:
        while not self._residency.closing:
            wakeup = self._residency.wakeup
            if await self._has_room(ticket, what):
                return
            await wakeup.wait()
        raise refusals.stopping(what)

    def _join(self, ticket: Ticket, resident: Resident | None) -> None:
        """Wait for this load; None ends the wait."""
        if ticket.joined is not resident:
            before, ticket.joined = ticket.joined, resident
            if resident is not None:
                resident.waiters += 1
            if before is not None:
                before.waiters -= 1
                self._residency.notify()  # it may be idle now

    def _leave_queue(self, ticket: Ticket) -> None:
        if self._residency.queue.leave(ticket):
            self._residency.notify()  # another ticket is the first now

    # -- taking -------------------------------------------------------------------------------------------------------

    async def _use(self, resident: Resident, request: ModelRequest, ticket: Ticket) -> Resident | None:
        """Lease a loaded model, unless it is to be evicted for an older request or its adapters do not fit."""
        missing = [spec for spec in request.adapters if spec.sha256 not in resident.adapters]
        ticket.devices = _sum(resident.adapter_devices(spec.size) for spec in missing)
        ticket.protected = {resident.key, *(resident.part_key(spec.sha256) for spec in request.adapters)}
        if missing:
            self._join(ticket, None)
            if not await self._has_room(ticket, request.what) or not resident.usable:
                return None
        elif self._older_needs(resident, ticket):
            self._join(ticket, None)  # or the older request would wait for this one
            self._wait_in_queue(ticket, "an older request needs its memory")
            return None
        now = self._residency.clock()
        for spec in missing:
            resident.adapters[spec.sha256] = ResidentAdapter(spec, resident.adapter_devices(spec.size), now)
        for spec in request.adapters:
            resident.adapters[spec.sha256].leases += 1
        resident.leases += 1
        return resident

    def _older_needs(self, resident: Resident, ticket: Ticket) -> bool:
        """Whether the first in the queue is older and waits for this model to be evicted."""
        first = self._residency.queue.first
        if first is None or first >= ticket or not first.devices or self._has_turn(resident):
            return False
        match self._residency.ledger().plan(first.devices, first.protected):
            case Proceed(victims):
                return resident.key in victims
            case Wait(busy):
                return resident.key in busy
        return False

    def _has_turn(self, resident: Resident) -> bool:
        assert resident.child is not None
        turn = min(max(_TURN_S, _TURN_LOADS * resident.child.loaded.seconds), self._residency.defaults.wait_s / 4)
        return self._residency.clock() - resident.loaded_at < turn

    async def _start(self, request: ModelRequest, ticket: Ticket) -> None:
        """Reserve memory for a load and begin it, if the ticket is the first in the queue and the model fits."""
        self._join(ticket, None)
        if self._residency.queue.behind(ticket):
            return
        plan = await self._plan(request.spec)
        ticket.devices, ticket.protected = dict(plan.need.devices), set(plan.protected)

        def hints(room: Mapping[str, int]) -> list[str]:
            return self._planner.smaller(request.spec, plan.settings, room)

        ready = await self._makes_room(ticket, request.what, plan.decision, hints)
        if (
            not ready
            or self._residency.closing
            or not self._is_current(request.spec)
            or self._residency.current(request.spec)
        ):
            return
        need = plan.need
        resident = Resident(request.spec, plan.settings, need.parts, need.source, self._residency.clock())
        self._residency.queue.leave(ticket)
        self._join(ticket, resident)
        self._residency.decisions.note("reserved", request.spec.id, _KNOWN_FROM[need.source], devices=need.devices)
        self._residency.add(resident)
        self._loader.begin(resident)

    def _is_current(self, spec: ModelSpec) -> bool:
        """Whether this is still the current version; a rescan wakes us if not."""
        return self._residency.catalog.get(spec.id).content == spec.content

    async def _plan(self, spec: ModelSpec) -> MemoryPlan:
        defaults = self._residency.defaults
        settings = defaults.settings(spec.id)
        if defaults.automatic_layers(spec.id):
            settings = await self._planner.placed(spec, settings, self._residency.ledger())
        older = self._residency.older(spec)
        return self._planner.choose(spec, settings, self._residency.ledger(), older.key if older is not None else None)

    async def _has_room(self, ticket: Ticket, what: str) -> bool:
        """As `_makes_room`, for what the ticket wants now."""
        decision = self._residency.ledger().plan(ticket.devices, ticket.protected)
        return await self._makes_room(ticket, what, decision, lambda _: [])

    async def _makes_room(
        self, ticket: Ticket, what: str, decision: Plan, hints: Callable[[Mapping[str, int]], list[str]]
    ) -> bool:
        """True if the ticket may take its memory now. The first in the queue evicts for it. Raises ModelTooLarge."""
        if isinstance(decision, Never):
            raise refusals.too_large(self._residency, what, ticket, decision, hints(decision.room))
        self._residency.queue.join(ticket)
        if self._residency.queue.first is not ticket:
            self._wait_in_queue(ticket, "others are already waiting for memory")
            return False
        if isinstance(decision, Wait):
            busy = ", ".join(sorted({key.model for key in decision.busy}))
            self._wait_in_queue(ticket, f"for {busy} to be idle")
            return False
        if decision.victims:
            await self._evictor.evict(decision.victims, f"to make room for {ticket.model}", cause=ticket.model)
            return False
        return True

    def _wait_in_queue(self, ticket: Ticket, why: str) -> None:
        self._residency.queue.join(ticket)
        if not ticket.logged:
            ticket.logged = True
            self._residency.decisions.note("waited", ticket.model, why, devices=ticket.devices)


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for device, size in part.items():
            sums[device] = sums.get(device, 0) + size
    return sums
