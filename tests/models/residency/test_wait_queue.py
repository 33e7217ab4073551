"""The queue for memory: first come, first served; no request starves, and one that can never fit blocks no other."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ModelBusy, ModelTooLarge
from models.residency.manager import Manager, ModelDefaults
from tests.models.managed import FAST, Clock, kinds, managed, need, states, text_of, until


async def use(manager: Manager, model_id: str, done: list[str]) -> None:
    async with manager.lease(model_id) as lease:
        await text_of(lease)
        done.append(model_id)


async def test_a_load_that_waits_for_a_busy_model_is_not_starved_by_further_requests_for_that_model(home: Path) -> None:
    clock = Clock()
    async with managed(home, clock=clock) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        done: list[str] = []
        enough = asyncio.Event()

        async def hold() -> None:
            async with manager.lease("a"):
                await enough.wait()
                done.append("a")

        busy = [asyncio.create_task(hold()) for _ in range(3)]
        await until(lambda: manager.state("a").leases == 3, 30)
        waiting = asyncio.create_task(use(manager, "b", done))
        await until(lambda: "waited" in kinds(manager, "b"), 30)
        clock.now += 60  # the turn of a is over
        later = [asyncio.create_task(use(manager, "a", done)) for _ in range(5)]
        enough.set()
        await asyncio.gather(*busy, waiting, *later)
        assert done == ["a", "a", "a", "b", "a", "a", "a", "a", "a"]


async def test_all_requests_that_wait_for_a_load_are_served_in_one_turn(home: Path) -> None:
    async with managed(home, clock=Clock()) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        done: list[str] = []
        await asyncio.gather(*(use(manager, "ab"[number % 2], done) for number in range(20)))
        assert kinds(manager).count("loaded") == 2
        assert done == ["a"] * 10 + ["b"] * 10


async def test_an_endless_stream_of_requests_for_one_model_does_not_starve_another(home: Path) -> None:
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        stop = asyncio.Event()

        async def again_and_again() -> None:
            while not stop.is_set():
                async with manager.lease("a") as lease:
                    await text_of(lease)

        crowd = [asyncio.create_task(again_and_again()) for _ in range(3)]
        await until(lambda: manager.state("a").leases > 1, 30)
        async with manager.lease("b", wait_s=20) as lease:
            assert await text_of(lease)
        stop.set()
        await asyncio.gather(*crowd)


async def test_a_cancelled_request_unblocks_those_queued_behind_it(home: Path) -> None:
    clock = Clock()
    async with managed(home, clock=clock) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        async with manager.lease("a"):
            hasty = asyncio.create_task(manager.load("b"))
            await until(lambda: "waited" in kinds(manager, "b"))
            clock.now += 60
            patient = asyncio.create_task(manager.load("a"))
            await until(lambda: "waited" in kinds(manager, "a"))
            hasty.cancel()
            assert (await patient).state == "loaded"
        assert states(manager)["b"] == "installed"


async def test_a_request_that_can_never_fit_is_refused_at_once_and_blocks_no_other(home: Path) -> None:
    big = ModelDefaults(context=4096, parallel=64, batch=4096, threads=1)
    async with managed(home, big) as manager:
        manager.budget_bytes = manager.need("a").ram - 1
        with pytest.raises(ModelTooLarge, match="budget is") as caught:
            await manager.load("a")
        assert "context" in caught.value.hint
        assert kinds(manager) == ["refused"]
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        manager.reserve("ocr", need(manager), "it reads pages")
        with pytest.raises(ModelTooLarge, match="ocr"):
            await manager.load("b")


async def test_two_hundred_requests_at_once_are_answered_or_refused_in_time(home: Path) -> None:
    few = ModelDefaults(context=512, threads=1, queue=64, wait_s=60)
    async with managed(home, few) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        done: list[str] = []
        crowd = (use(manager, "ab"[number % 2], done) for number in range(200))
        results = await asyncio.gather(*crowd, return_exceptions=True)
        refused = [result for result in results if result is not None]
        assert len(done) == 64
        assert len(refused) == 136
        assert all(isinstance(error, ModelBusy) and "waiting for a model" in error.why for error in refused)
        assert manager.report().waiting == 0


async def test_other_work_uses_the_same_budget_and_the_same_queue(home: Path) -> None:
    async with managed(home) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        await manager.load("a")
        async with manager.room("training", "training", {"ram": need(manager)}):
            assert states(manager)["a"] == "installed"
            with pytest.raises(ModelTooLarge):
                async with manager.room("second", "training", {"ram": need(manager)}, wait_s=0.05):
                    pass
        assert manager.report().used == {"ram": 0}
        with pytest.raises(ModelTooLarge, match="training"):
            async with manager.room("training", "training", {"ram": 10 * need(manager)}):
                pass


async def test_an_eviction_is_logged_with_its_reason_and_its_cause(home: Path) -> None:
    async with managed(home, FAST) as manager:
        manager.budget_bytes = int(need(manager) * 1.5)
        await manager.load("a")
        await manager.load("b")
        last = manager.report().last_eviction
        assert last is not None
        assert (last.model, last.cause, last.why) == ("a", "b", "to make room for b")
        assert last.devices["ram"] > 0
        assert kinds(manager) == ["reserved", "loaded", "evicted", "reserved", "loaded"]


async def test_memory_that_a_process_frees_wakes_the_requests_that_wait_for_it(home: Path) -> None:
    async with managed(home, replace(FAST, measure_s=1e9)) as manager, manager.lease("a"):
        (resident,) = manager._residency.residents
        manager.budget_bytes = manager.report().used["ram"] + int(need(manager) * 1.5)
        resident.grown = {"ram": need(manager)}
        waiting = asyncio.create_task(manager.load("b"))
        await until(lambda: "waited" in kinds(manager, "b"))
        await manager.measure()
        assert (await waiting).state == "loaded"


async def test_waiting_requests_are_woken_when_a_trim_that_timed_out_may_be_retried(home: Path) -> None:
    clock = Clock()
    caching = replace(FAST, measure_s=1e9, watch_s=0.05, cache_bytes=256 << 20)
    async with managed(home, caching, clock=clock) as manager, manager.lease("a"):
        (resident,) = manager._residency.residents
        resident.trims_again_at = clock.now + 30
        manager.budget_bytes = manager.report().used["ram"] + (1 << 20)
        waiting = asyncio.create_task(manager.load("b"))
        await until(lambda: "waited" in kinds(manager, "b"))
        clock.now += 31
        assert (await waiting).state == "loaded"
