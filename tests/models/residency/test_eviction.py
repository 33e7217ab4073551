"""What several requests evict is evicted once, and memory that may still be held counts."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from typing import cast

import pytest

from models.child_process.child import Child
from models.child_process.spawner import Process
from models.hardware.ram import RAM
from models.memory.budget import Proceed, Wait
from models.residency import eviction
from models.residency.options import ModelDefaults
from models.types import AdapterRef
from tests.models.managed import FAST, kinds, managed, text_of, until

CACHING = ModelDefaults(context=512, threads=1, wait_s=30.0, cache_bytes=1 << 20)


async def test_an_adapter_evicted_by_two_requests_is_trimmed_once(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a", [AdapterRef("polite")]) as lease:
            await text_of(lease)
        (resident,) = manager._residency.residents
        (part,) = (resident.part_key(key) for key in resident.adapters)
        await asyncio.gather(*(manager._evictor.evict([part], "for a test") for _ in range(2)))
        assert resident.adapters == {}
        assert kinds(manager).count("trimmed") == 1


async def test_a_trim_in_progress_is_waited_for_and_not_repeated(home: Path) -> None:
    async with managed(home) as manager:
        async with manager.lease("a", [AdapterRef("polite")]) as lease:
            await text_of(lease)
        (resident,) = manager._residency.residents
        os.kill(resident.child.pid if resident.child else 0, signal.SIGSTOP)
        (part,) = (resident.part_key(key) for key in resident.adapters)
        first = asyncio.create_task(manager._evictor.evict([part], "for a test"))
        await until(lambda: resident.child is not None and resident.child.open_requests > 0)
        assert not next(one for one in manager.holders() if one.key == part).idle
        os.kill(resident.child.pid if resident.child else 0, signal.SIGCONT)
        await first
        assert part not in {one.key for one in manager.holders()}


async def test_an_eviction_in_progress_is_waited_for_before_anything_else_is_evicted(home: Path) -> None:
    async with managed(home, FAST) as manager:
        await manager.load("a")
        await manager.load("b")
        manager.budget_bytes = manager.report().used[RAM]
        first, second = manager._residency.residents
        first.leaving = True
        assert manager._residency.ledger().plan({RAM: first.bytes}) == Wait((first.key,))
        assert manager._residency.ledger().plan({RAM: first.bytes + second.bytes}) == Proceed((second.key,))
        first.leaving = False


async def test_a_cache_that_its_child_may_fill_later_still_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managed(home, CACHING) as manager:
        await manager.load("a")
        (resident,) = manager._residency.residents
        await manager._evictor.evict([resident.part_key("cache")], "for a test")
        before = manager.report().used[RAM]
        monkeypatch.setattr(eviction, "_TRIM_S", 0.05)
        os.kill(resident.child.pid if resident.child else 0, signal.SIGSTOP)
        await manager._evictor.restore_caches()
        assert manager.report().used[RAM] == before + CACHING.cache_bytes


async def test_no_cache_is_restored_while_a_request_waits_for_memory(home: Path) -> None:
    async with managed(home, CACHING) as manager:
        await manager.load("a")
        (resident,) = manager._residency.residents
        await manager._evictor.evict([resident.part_key("cache")], "for a test")
        manager.budget_bytes = manager.report().used[RAM] + CACHING.cache_bytes + manager.need("b").ram // 2
        async with manager.lease("a"):
            waiting = asyncio.create_task(manager.load("b"))
            await until(lambda: "waited" in kinds(manager, "b"))
            await manager._evictor.restore_caches()
            assert not resident.of("cache")
        await waiting


class Deathless:
    """A process in uninterruptible sleep: killed, but alive until the kernel can end it."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.connection, other = socket.socketpair()
        other.close()

    def kill(self) -> None: ...

    async def ended(self) -> int:
        await self.end.wait()
        return -9


async def test_stopping_a_child_reports_whether_its_process_has_exited() -> None:
    process = Deathless()
    child = Child("m", cast("Process", process), time.monotonic)
    assert not await child.stop(0.01)
    process.end.set()
    assert await child.stop(0.01)


async def test_a_process_that_exits_slowly_counts_until_then_but_no_longer_than_a_minute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with managed(home, FAST) as manager:
        await manager.load("a")
        (resident,) = manager._residency.residents
        assert resident.child is not None
        end, limits, own = asyncio.Event(), list[float](), resident.child.stop

        async def slow(limit_s: float) -> bool:
            limits.append(limit_s)
            await end.wait()
            await own()
            return False

        monkeypatch.setattr(resident.child, "stop", slow)
        unloading = asyncio.create_task(manager.unload("a"))
        await until(lambda: bool(limits))
        assert manager.report().used[RAM] > 0
        end.set()
        await unloading
        assert manager.report().used[RAM] == 0
        assert limits == [60.0]
        assert "has not ended after 60 s" in manager.report().decisions[-1].why


async def test_a_failed_eviction_is_raised_after_the_others_have_finished(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with managed(home, FAST) as manager:
        await manager.load("a")
        await manager.load("b")
        first, second = manager._residency.residents
        assert first.child is not None

        async def refuse(_limit_s: float = 0) -> bool:
            raise OSError("for a test")

        own = first.child.stop
        monkeypatch.setattr(first.child, "stop", refuse)
        with pytest.raises(OSError, match="for a test"):
            await manager._evictor.evict([first.key, second.key], "for a test")
        assert second not in manager._residency.residents
        monkeypatch.setattr(first.child, "stop", own)
