"""Frees memory: unloads models, and trims the adapters and prompt caches that they hold beside their weights.

Rules: a model in use is never stopped, except when the service ends. A model being evicted takes no new leases; its
memory counts until its process has exited. The child itself frees adapters and prompt caches, on request.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from models.child_process.child import Child
from models.child_process.messages import Trim, Trimmed
from models.errors import ModelCrashed, ModelError
from models.hardware.ram import RAM, Measured
from models.humanize import amount
from models.memory.budget import HolderKey, Proceed
from models.memory.need import Part
from models.residency.decision_log import Kind
from models.residency.resident import Resident
from models.residency.state import ResidencyState

# Seconds, chosen by eye.
_TRIM_S = 5.0  # for a child to answer a trim
_TRIM_AGAIN_S = 30.0  # before it is asked again
_EXIT_S, _CLOSING_S = 60.0, 2.0  # for its process to exit: freeing much memory takes a while


class Evictor:
    """Unloads and trims."""

    def __init__(self, residency: ResidencyState) -> None:
        self._residency = residency
        self._evictions: set[asyncio.Task[None]] = set()

    async def stop(self, resident: Resident, why: str, *, kind: Kind = "unloaded", cause: str = "") -> None:
        """End a load, whatever it is doing; its memory counts until its process has exited."""
        self._mark(resident, why, kind, cause)
        if resident.task is not None and resident.task is not asyncio.current_task():
            resident.task.cancel()
            await asyncio.wait([resident.task])
        if resident.child is not None:
            await self._end_process(resident, resident.child)
        self._residency.drop(resident)
        self._residency.changed(resident.spec)

    def on_death(self, resident: Resident, error: ModelCrashed) -> None:
        """Drop a load whose process has ended by itself."""
        if not resident.leaving:
            self._residency.decisions.note("died", resident.spec.id, error.why, devices=resident.reserved())
        if self._residency.drop(resident):
            self._residency.failures[resident.spec.id] = error.why
        self._residency.changed(resident.spec)

    async def evict(self, victims: Sequence[HolderKey], why: str, *, cause: str = "") -> None:
        """Evict these holders and return when their memory is free. Continues even if the caller is cancelled."""
        work = asyncio.create_task(self._evict(victims, why, cause), name="evict")
        self._evictions.add(work)
        work.add_done_callback(self._evictions.discard)
        await asyncio.shield(work)

    async def _evict(self, victims: Sequence[HolderKey], why: str, cause: str) -> None:
        stops = []
        trims: dict[HolderKey, list[str]] = {}
        for victim in victims:
            if victim.part:
                trims.setdefault(victim.owner, []).append(victim.part)
            elif (resident := self._residency.by_key(victim)) is not None and resident.idle:
                self._mark(resident, why, "evicted", cause)
                stops.append(self.stop(resident, why))
        chosen = [(self._residency.by_key(owner), parts) for owner, parts in trims.items() if owner not in victims]
        trimming = [self.trim(one, parts, why, cause=cause) for one, parts in chosen if one is not None]
        results = await asyncio.gather(*stops, *trimming, return_exceptions=True)  # each one runs to its end
        self._residency.notify()
        for error in results:
            if isinstance(error, BaseException):
                raise error

    async def trim(self, resident: Resident, parts: Sequence[str], why: str, *, cause: str = "") -> None:
        """Have the child free its `cache` or adapters, named by hash. What is not freed in time still counts."""
        if not resident.usable or resident.child is None:
            return
        new = {part for part in parts if part not in resident.trimming}
        adapters = tuple(part for part in new if (one := resident.adapters.get(part)) and not one.leases)
        cache = 0 if "cache" in new else None
        if not adapters and cache is None:
            return
        resident.trimming |= new
        try:
            trimmed = await self.request_trim(resident, adapters, cache)
        finally:
            resident.trimming -= new
        if trimmed is None:
            resident.trims_again_at = self._residency.clock() + _TRIM_AGAIN_S
            if cache is not None:
                self._withdraw_cache_trim(resident)
        else:
            await self._note_trimmed(resident, adapters, cache=cache is not None, why=why, cause=cause)

    def _withdraw_cache_trim(self, resident: Resident) -> None:
        """Send the old cache limit after a trim that was not answered: the cache still counts, so it may be filled."""
        if resident.child is not None:
            size = sum(resident.of("cache").values())
            with contextlib.suppress(ModelError):
                resident.child.send(lambda number: Trim(id=number, cache_bytes=size)).close()

    async def _note_trimmed(
        self, resident: Resident, adapters: Sequence[str], *, cache: bool, why: str, cause: str
    ) -> None:
        before = resident.reserved()
        for key in adapters:
            if (adapter := resident.adapters.get(key)) is not None and adapter.leases == 0:
                del resident.adapters[key]
        if cache:
            resident.without("cache")
        if resident.child is not None and (
            found := await asyncio.to_thread(self._residency.measure, resident.child.pid)
        ):
            resident.note_measured(found)  # what its process has not returned to the system still counts
        after = resident.reserved()
        freed = {device: size - after.get(device, 0) for device, size in before.items() if size > after.get(device, 0)}
        self._residency.decisions.note("trimmed", resident.spec.id, why, cause=cause, devices=freed)
        self._residency.notify()

    async def restore_caches(self) -> None:
        """Allow trimmed prompt caches again where no request waits for memory and nothing is evicted for them.

        A cache counts as soon as the request is sent: a child that is too busy to answer will fill it later.
        """
        await asyncio.gather(*(self._restore_cache(resident) for resident in list(self._residency.residents)))

    async def _restore_cache(self, resident: Resident) -> None:
        size = resident.settings.cache_bytes
        if self._residency.queue.first is not None or not size or resident.of("cache") or not resident.usable:
            return
        if self._residency.ledger().plan({RAM: size}) == Proceed():
            resident.parts = (*resident.parts, Part("cache", RAM, size))
            await self.request_trim(resident, cache=size)

    async def request_trim(
        self, resident: Resident, adapters: tuple[str, ...] = (), cache: int | None = None
    ) -> Trimmed | None:
        """Free these adapters and set the cache's limit; without either, only ask.

        Returns the bytes its adapters and cached prompts hold afterwards, or None without an answer in time.
        """
        if resident.child is None:
            return None
        try:
            channel = resident.child.send(lambda number: Trim(id=number, adapters=adapters, cache_bytes=cache))
        except ModelError:
            return None
        try:
            async with asyncio.timeout(_TRIM_S):
                answer = await channel.next()
        except (TimeoutError, ModelError):
            return None
        finally:
            channel.close()
        return answer if isinstance(answer, Trimmed) else None

    async def note_measured(self, resident: Resident, found: Measured) -> bool:
        """Record what its process uses; True if that exceeds the reservation by more than before.

        The excess counts, and others are evicted to keep within the budget.
        """
        if not resident.note_measured(found):
            return False
        why = f"its process holds {amount(sum(resident.grown.values()))} more than was reserved"
        self._residency.decisions.note("grew", resident.spec.id, why, devices=resident.grown)
        await self.relieve(f"{resident.spec.id} holds more than was reserved")
        return True

    async def relieve(self, why: str) -> bool:
        """Evict idle holders until every device is within its limit; False if that is not possible now."""
        decision = self._residency.ledger().plan(dict.fromkeys(self._residency.limits, 0))
        if isinstance(decision, Proceed) and decision.victims:
            await self.evict(decision.victims, why)
        return isinstance(decision, Proceed)

    async def evict_idle(self) -> None:
        """Unload models that have been idle for longer than configured."""
        for resident in list(self._residency.residents):
            limit = self._residency.defaults.idle_of(resident.spec.id)
            expired = bool(limit) and self._residency.clock() - resident.last_used > (limit or 0)
            if expired and resident.idle and resident.spec.id not in self._residency.pins:
                await self.stop(resident, f"idle for more than {limit:g} s")

    async def stop_stale(self) -> None:
        """Unload idle models whose file is gone, or whose new version is loaded."""
        self._residency.mark_stale()
        installed = {spec.id: spec for spec in self._residency.catalog.list()}
        for resident in list(self._residency.residents):
            spec = installed.get(resident.spec.id)
            newer = self._residency.current(spec) if spec and resident.stale else None
            if resident.idle and resident.stale and (spec is None or (newer is not None and newer.usable)):
                why = "its file is gone" if spec is None else "a new version of it is loaded"
                await self.stop(resident, why)

    async def _end_process(self, resident: Resident, child: Child) -> None:
        limit_s = _CLOSING_S if self._residency.closing else _EXIT_S
        if not await child.stop(limit_s):
            why = f"its process has not ended after {limit_s:g} s; its memory is no longer counted"
            self._residency.decisions.note("unloaded", resident.spec.id, why, devices=resident.reserved())

    def _mark(self, resident: Resident, why: str, kind: Kind, cause: str) -> None:
        if resident.child is not None and not resident.leaving:
            self._residency.decisions.note(kind, resident.spec.id, why, cause=cause, devices=resident.reserved())
        resident.leaving = True
