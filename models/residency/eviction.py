"""How models leave memory, and what they hold beside their weights: asked for, evicted, idle for long, gone from the disk.

Rules: a model in use is never stopped, but at the end of the service. Whoever leaves is marked at once, so that nobody
gets it any more, and counts until its process is gone. Adapters and prompt caches are given back by the child itself.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from models.child_process.child import Child
from models.child_process.messages import Trim, Trimmed
from models.errors import ModelCrashed, ModelError
from models.hardware.ram import RAM, Measured
from models.memory.budget import HolderKey, Proceed
from models.memory.need import Part, amount
from models.residency.decision_log import Kind
from models.residency.resident import Resident
from models.residency.state import ResidencyState

_TRIM_S = 5.0
_TRIM_AGAIN_S = 30.0
_GONE_S, _CLOSING_S = 60.0, 2.0  # a large model's memory takes the kernel a while; the end of the service waits less


class Evictor:
    """Unloads and trims."""

    def __init__(self, residency: ResidencyState) -> None:
        self._residency = residency
        self._evictions: set[asyncio.Task[None]] = set()

    async def stop(self, resident: Resident, why: str, *, kind: Kind = "unloaded", cause: str = "") -> None:
        """End a resident, whatever it is doing, and give its reservation back once its memory has come back."""
        self._mark(resident, why, kind, cause)
        if resident.task is not None and resident.task is not asyncio.current_task():
            resident.task.cancel()
            await asyncio.wait([resident.task])
        if resident.child is not None:
            await self._gone(resident, resident.child)
        self._residency.drop(resident)
        self._residency.changed(resident.spec)

    def on_death(self, resident: Resident, error: ModelCrashed) -> None:
        """Its process has ended by itself."""
        if not resident.leaving:
            self._residency.journal.note("died", resident.spec.id, error.why, devices=resident.reserved())
        if self._residency.drop(resident):
            self._residency.failures[resident.spec.id] = error.why
        self._residency.changed(resident.spec)

    async def evict(self, victims: Sequence[HolderKey], why: str, *, cause: str = "") -> None:
        """Let these holders go, and return when their memory is back. Goes on even if the caller gives up."""
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
        results = await asyncio.gather(*stops, *trimming, return_exceptions=True)  # each is to come to its end
        self._residency.notify()
        for error in results:
            if isinstance(error, BaseException):
                raise error

    async def trim(self, resident: Resident, parts: Sequence[str], why: str, *, cause: str = "") -> None:
        """Have its child give back `cache` or adapters, by hash. What does not come back in time stays counted."""
        if not resident.usable or resident.child is None:
            return
        asked = {part for part in parts if part not in resident.trimming}
        adapters = tuple(part for part in asked if (one := resident.adapters.get(part)) and not one.leases)
        cache = 0 if "cache" in asked else None
        if not adapters and cache is None:
            return
        resident.trimming |= asked
        try:
            given_back = await self.ask(resident, adapters, cache)
        finally:
            resident.trimming -= asked
        if given_back is None:
            resident.trims_again_at = self._residency.clock() + _TRIM_AGAIN_S
            if cache is not None:
                self._take_back(resident)
        else:
            await self._given_back(resident, adapters, cache=cache is not None, why=why, cause=cause)

    def _take_back(self, resident: Resident) -> None:
        """It will hear of the trim later, and right after it that it may fill its cache again, which still counts."""
        if resident.child is not None:
            size = sum(resident.of("cache").values())
            with contextlib.suppress(ModelError):
                resident.child.send(lambda number: Trim(id=number, cache_bytes=size)).close()

    async def _given_back(
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
            resident.note_measured(found)  # what its process has not given back to the system still counts
        after = resident.reserved()
        freed = {device: size - after.get(device, 0) for device, size in before.items() if size > after.get(device, 0)}
        self._residency.journal.note("trimmed", resident.spec.id, why, cause=cause, devices=freed)
        self._residency.notify()

    async def restore_caches(self) -> None:
        """Let prompt caches that were given back be filled again, where nobody waits for memory nor has to leave for it.

        One counts from the moment its child is told: a child that is too busy to answer will fill it later.
        """
        await asyncio.gather(*(self._restore_cache(resident) for resident in list(self._residency.residents)))

    async def _restore_cache(self, resident: Resident) -> None:
        size = resident.settings.cache_bytes
        if self._residency.line.first is not None or not size or resident.of("cache") or not resident.usable:
            return
        if self._residency.ledger().plan({RAM: size}) == Proceed():
            resident.parts = (*resident.parts, Part("cache", RAM, size))
            await self.ask(resident, cache=size)

    async def ask(self, resident: Resident, adapters: tuple[str, ...] = (), cache: int | None = None) -> Trimmed | None:
        """What its adapters and cached prompts hold, once these have been given back; None if it does not tell in time."""
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
        """What its process uses now. If that is more than was reserved it counts so, and others make room for it."""
        if not resident.note_measured(found):
            return False
        why = f"its process holds {amount(sum(resident.grown.values()))} more than was reserved"
        self._residency.journal.note("grew", resident.spec.id, why, devices=resident.grown)
        await self.relieve(f"{resident.spec.id} holds more than was reserved")
        return True

    async def relieve(self, why: str) -> bool:
        """If a device holds more than its limit, let idle ones go until it does not; whether it is within now."""
        decision = self._residency.ledger().plan(dict.fromkeys(self._residency.limits, 0))
        if isinstance(decision, Proceed) and decision.victims:
            await self.evict(decision.victims, why)
        return isinstance(decision, Proceed)

    async def evict_idle(self) -> None:
        """Unload what has been idle for longer than configured."""
        for resident in list(self._residency.residents):
            limit = self._residency.defaults.idle_of(resident.spec.id)
            tired = bool(limit) and self._residency.clock() - resident.last_used > (limit or 0)
            if tired and resident.idle and resident.spec.id not in self._residency.pins:
                await self.stop(resident, f"idle for more than {limit:g} s")

    async def stop_stale(self) -> None:
        """Unload idle models that another content has replaced, or that are gone from the disk."""
        self._residency.mark_stale()
        installed = {spec.id: spec for spec in self._residency.catalog.list()}
        for resident in list(self._residency.residents):
            spec = installed.get(resident.spec.id)
            newer = self._residency.current(spec) if spec and resident.stale else None
            if resident.idle and resident.stale and (spec is None or (newer is not None and newer.usable)):
                why = "its file is gone" if spec is None else "another content of it is loaded"
                await self.stop(resident, why)

    async def _gone(self, resident: Resident, child: Child) -> None:
        limit_s = _CLOSING_S if self._residency.closing else _GONE_S
        if not await child.stop(limit_s):
            why = f"its process has not ended after {limit_s:g} s; what it holds is not counted any more"
            self._residency.journal.note("unloaded", resident.spec.id, why, devices=resident.reserved())

    def _mark(self, resident: Resident, why: str, kind: Kind, cause: str) -> None:
        if resident.child is not None and not resident.leaving:
            self._residency.journal.note(kind, resident.spec.id, why, cause=cause, devices=resident.reserved())
        resident.leaving = True
