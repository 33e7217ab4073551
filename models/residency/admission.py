"""Who may use a model, or take memory, and when: the look that every request takes whenever something has changed.

Rules, which keep anybody from starving and any two from waiting for each other:
- Only the first in the line takes memory. It waits until enough models are idle, and while it waits no younger request
  is given a model that has to leave for it, but for a turn: the first moments after a load, in which it serves all who
  wait for it. Otherwise requests for two models in alternation would each cost a load.
- Nobody holds anything while waiting: a model and the adapters it is to be used with are had at once or not at all.
- What can never fit is refused before it stands in the line. Every wait has a deadline, and the line an end.
- Whoever waits asks for a model by its name: the content that counts is looked up at every look.
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
from models.residency import refusals
from models.residency.eviction import Evictor
from models.residency.loader import Loader
from models.residency.resident import Resident, ResidentAdapter
from models.residency.state import Reservation, ResidencyState
from models.residency.wait_queue import Ticket

_TURN_S: Final = 1.0
_TURN_LOADS: Final = 2.0


def _any(_: ModelSpec) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model to be had. `serve_old`: whether this earlier content of it will do while the new one is being loaded."""

    spec: ModelSpec
    adapters: tuple[AdapterSpec, ...] = ()
    serve_old: Callable[[ModelSpec], bool] = _any

    @property
    def what(self) -> str:
        return f"using the model {self.spec.id}"


class Admission:
    """Grants models and memory."""

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
        """Requests that wait for a model or for memory."""
        return self._waiting

    async def acquire(self, wish: ModelRequest, wait_s: float) -> Resident:
        """The loaded model with one more lease and the adapters' memory reserved; `release` it afterwards.

        Raises ModelTooLarge, ModelLoadFailed, UnknownModel if it is removed meanwhile, or ModelBusy if it cannot be had
        within `wait_s` seconds.
        """
        ticket = Ticket(model=wish.spec.id)
        with self._queued(wish.what, wish.spec.id, ticket):
            try:
                async with asyncio.timeout(wait_s):
                    return await self._until_granted(wish, ticket)
            except TimeoutError:
                loading = ticket.joined is not None
                why = f"it {'was not loaded' if loading else 'did not come free'} within {wait_s:g} s"
                hint = "try again in a while, or unload other models"
                raise refusals.busy(self._residency, wish.what, wish.spec.id, why, hint) from None

    def release(self, resident: Resident, adapters: tuple[AdapterSpec, ...] = ()) -> None:
        """Give back what `acquire` gave."""
        resident.leases -= 1
        now = resident.last_used = self._residency.clock()
        for spec in adapters:
            held = resident.adapters.get(spec.sha256)
            if held is not None:
                held.leases, held.last_used = held.leases - 1, now
        self._residency.notify()

    @contextlib.asynccontextmanager
    async def room(self, holder: Reservation, wait_s: float) -> AsyncIterator[None]:
        """Memory for something that is no language model, for the block. Raises ModelTooLarge, ModelBusy."""
        what = f"reserving memory for {holder.id}"
        ticket = Ticket(model=holder.id, devices=dict(holder.devices))
        with self._queued(what, holder.id, ticket):
            try:
                async with asyncio.timeout(wait_s):
                    await self._until_room(ticket, what)
            except TimeoutError:
                why = f"no memory came free within {wait_s:g} s"
                hint = "try again in a while, or unload models"
                raise refusals.busy(self._residency, what, holder.id, why, hint) from None
            self._residency.held[holder.id] = holder
        self._residency.journal.note("reserved", holder.id, f"for {holder.kind}", devices=holder.devices)
        try:
            yield
        finally:
            self._residency.held.pop(holder.id, None)
            self._residency.notify()

    # -- waiting ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _queued(self, what: str, model_id: str, ticket: Ticket) -> Iterator[None]:
        if self._waiting >= self._residency.defaults.queue:
            why = f"{self._waiting} requests wait for a model already"
            raise refusals.busy(self._residency, what, model_id, why, "try again in a while")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self._join(ticket, None)
            self._leave_line(ticket)

    async def _until_granted(self, wish: ModelRequest, ticket: Ticket) -> Resident:
        while True:
            wakeup = self._residency.wakeup
            spec = self._residency.catalog.get(wish.spec.id)  # it may be another content by now
            failed = ticket.joined
            if failed is not None and failed.error is not None and failed.spec.content == spec.content:
                raise failed.error
            if (granted := await self._look(replace(wish, spec=spec), ticket)) is not None:
                return granted
            if self._residency.closing:
                raise refusals.stopping(wish.what)
            await wakeup.wait()

    async def _look(self, wish: ModelRequest, ticket: Ticket) -> Resident | None:
        """Take what is to be had now, or bring it nearer; None to look again after the next change."""
        if self._residency.closing:
            return None
        current, older = self._residency.current(wish.spec), self._residency.older(wish.spec)
        if current is not None and current.usable:
            return await self._use(current, wish, ticket)
        if older is not None and wish.serve_old(older.spec):
            self._begin_swap(wish.spec)
            return await self._use(older, wish, ticket)
        if current is None:
            await self._start(wish, ticket)
            return None
        self._join(ticket, current)
        self._leave_line(ticket)
        return None

    async def _until_room(self, ticket: Ticket, what: str) -> None:
        while not self._residency.closing:
            wakeup = self._residency.wakeup
            if await self._has_room(ticket, what):
                return
            await wakeup.wait()
        raise refusals.stopping(what)

    def _join(self, ticket: Ticket, resident: Resident | None) -> None:
        """Wait for this load, or for none any more."""
        if ticket.joined is not resident:
            before, ticket.joined = ticket.joined, resident
            if resident is not None:
                resident.waiters += 1
            if before is not None:
                before.waiters -= 1
                self._residency.notify()  # it may be idle now

    def _leave_line(self, ticket: Ticket) -> None:
        if self._residency.line.leave(ticket):
            self._residency.notify()  # another is the first now

    # -- taking -------------------------------------------------------------------------------------------------------

    async def _use(self, resident: Resident, wish: ModelRequest, ticket: Ticket) -> Resident | None:
        """A lease on a loaded model, if no older request needs it gone, and there is room for the adapters."""
        missing = [spec for spec in wish.adapters if spec.sha256 not in resident.adapters]
        ticket.devices = _sum(resident.adapter_devices(spec.size) for spec in missing)
        ticket.protected = {resident.key, *(resident.part_key(spec.sha256) for spec in wish.adapters)}
        if missing:
            self._join(ticket, None)
            if not await self._has_room(ticket, wish.what) or not resident.usable:
                return None
        elif self._older_needs(resident, ticket):
            self._join(ticket, None)  # or the older one would wait for us
            self._wait_in_line(ticket, "an older request needs the memory that it holds")
            return None
        now = self._residency.clock()
        for spec in missing:
            resident.adapters[spec.sha256] = ResidentAdapter(spec, resident.adapter_devices(spec.size), now)
        for spec in wish.adapters:
            resident.adapters[spec.sha256].leases += 1
        resident.leases += 1
        return resident

    def _older_needs(self, resident: Resident, ticket: Ticket) -> bool:
        """Whether the first in the line is older and waits for this model to leave."""
        first = self._residency.line.first
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

    async def _start(self, wish: ModelRequest, ticket: Ticket) -> None:
        """Reserve memory for a load and begin it, if it is this ticket's turn and there is room."""
        self._join(ticket, None)
        if self._residency.line.behind(ticket):
            return
        plan = await self._plan(wish.spec)
        ticket.devices, ticket.protected = dict(plan.need.devices), set(plan.protected)

        def hints(room: Mapping[str, int]) -> list[str]:
            return self._planner.smaller(wish.spec, plan.settings, room)

        ready = await self._makes_room(ticket, wish.what, plan.decision, hints)
        if not ready or self._residency.closing or not self._counts(wish.spec) or self._residency.current(wish.spec):
            return
        need = plan.need
        resident = Resident(wish.spec, plan.settings, need.parts, need.source, self._residency.clock())
        self._residency.line.leave(ticket)
        self._join(ticket, resident)
        self._residency.journal.note("reserved", wish.spec.id, f"as its {need.source} tells", devices=need.devices)
        self._residency.add(resident)
        self._loader.begin(resident)

    def _counts(self, spec: ModelSpec) -> bool:
        """Whether it is still what its name points to; else whoever rescans wakes us to look again."""
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
        self._residency.line.stand(ticket)
        if self._residency.line.first is not ticket:
            self._wait_in_line(ticket, "others wait for memory already")
            return False
        if isinstance(decision, Wait):
            busy = ", ".join(sorted({key.model for key in decision.busy}))
            self._wait_in_line(ticket, f"for {busy} to be idle")
            return False
        if decision.victims:
            await self._evictor.evict(decision.victims, f"to make room for {ticket.model}", cause=ticket.model)
            return False
        return True

    def _wait_in_line(self, ticket: Ticket, why: str) -> None:
        self._residency.line.stand(ticket)
        if not ticket.told:
            ticket.told = True
            self._residency.journal.note("waited", ticket.model, why, devices=ticket.devices)


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for device, size in part.items():
            sums[device] = sums.get(device, 0) + size
    return sums
