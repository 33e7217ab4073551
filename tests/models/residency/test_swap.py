"""A new version of a model: the old one answers until the new one is ready, where both fit."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import InvalidModelFile, UnknownModel
from models.residency.manager import Manager, ModelDefaults
from models.types import AdapterRef
from tests.gguf_builder import Shape, write_adapter, write_model
from tests.models.managed import FAST, Clock, kinds, states, text_of, until

LONGER = Shape(context=1024)
WIDER = Shape(context=1024, width=128)


@asynccontextmanager
async def with_one(
    folder: Path, budget: int = 1 << 30, defaults: ModelDefaults = FAST, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Manager]:
    catalog = Catalog(folder / "models")
    catalog.import_gguf(write_model(folder / "m.gguf"))
    adapters = AdapterCatalog(folder / "adapters")
    async with Manager(catalog, adapters, budget_bytes=budget, defaults=defaults, clock=clock) as manager:
        yield manager


def replace(folder: Path, *, without: str = "", shape: Shape = LONGER) -> None:
    """As another process does it."""
    other = Catalog(folder / "models")
    other.remove("m")
    other.import_gguf(write_model(folder / "m.gguf", seed=5, shape=shape, without=without))


def pids(manager: Manager) -> set[int | None]:
    return {holder.pid for holder in manager.report().holders}


async def test_the_old_version_answers_until_the_new_one_is_ready_and_is_unloaded_once_released(
    tmp_path: Path,
) -> None:
    async with with_one(tmp_path) as manager:
        async with manager.lease("m") as old:
            replace(tmp_path)
            await manager.rescan()
            async with manager.lease("m", wait_s=0.2) as meanwhile:
                assert meanwhile.spec.sha256 == old.spec.sha256
                assert await text_of(meanwhile)
            await until(lambda: "swapped" in kinds(manager), 30)
            async with manager.lease("m") as new:
                assert new.spec.sha256 != old.spec.sha256
                assert await text_of(new) != await text_of(old)
            assert len(pids(manager)) == 2
        assert len(pids(manager)) == 1


async def test_where_both_do_not_fit_the_old_version_is_evicted_when_idle_and_then_the_new_one_loads(
    tmp_path: Path,
) -> None:
    async with with_one(tmp_path) as manager:
        manager.budget_bytes = int(manager.need("m").ram * 1.5)
        async with manager.lease("m") as old:
            replace(tmp_path)
            await manager.rescan()
            await until(lambda: "waited" in kinds(manager))
            asking = asyncio.create_task(manager.load("m"))
            assert await text_of(old)
            assert not asking.done()
        await asking
        async with manager.lease("m") as new:
            assert new.spec.sha256 != old.spec.sha256
        assert len(pids(manager)) == 1


async def test_a_pinned_model_is_swapped_too(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        manager.budget_bytes = int(manager.need("m").ram * 1.5)
        await manager.pin("m")
        old = (await manager.load("m")).pid
        replace(tmp_path)
        await manager.rescan()
        await until(lambda: manager.state("m").pid not in (None, old), 30)


async def test_if_the_new_version_cannot_be_loaded_the_old_one_answers_and_the_reason_is_shown(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        old = (await manager.load("m")).pid
        replace(tmp_path, without="output_norm.weight")
        await manager.rescan()
        await until(lambda: "failed" in kinds(manager), 30)
        async with manager.lease("m") as lease:
            assert await text_of(lease)
        assert manager.state("m").pid == old
        assert "output_norm" in (manager.state("m").reason or "")
        assert kinds(manager).count("failed") <= 2


async def test_a_swap_that_timed_out_waiting_for_memory_is_retried_after_a_while(tmp_path: Path) -> None:
    hasty, clock = dataclasses.replace(FAST, wait_s=0.2, watch_s=0.05), Clock()
    async with with_one(tmp_path, defaults=hasty, clock=clock) as manager:
        manager.budget_bytes = int(manager.need("m").ram * 1.5)
        async with manager.lease("m", wait_s=30) as old:
            replace(tmp_path)
            await manager.rescan()
            await until(lambda: "failed" in kinds(manager))
        clock.now += 60
        await until(lambda: kinds(manager).count("loaded") == 2, 30)
        async with manager.lease("m", wait_s=30) as new:
            assert new.spec.sha256 != old.spec.sha256


async def test_a_request_that_waits_during_a_replacement_gets_the_current_version(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        manager.catalog.import_gguf(write_model(tmp_path / "other.gguf", seed=7))
        manager.budget_bytes = int(manager.need("m").ram * 1.5)
        async with manager.lease("other"):
            waiting = asyncio.create_task(manager.load("m"))
            await until(lambda: "waited" in kinds(manager, "m"))
            replace(tmp_path)
            await manager.rescan()
        await waiting
        async with manager.lease("m") as lease:
            assert lease.spec.sha256 == manager.catalog.get("m").sha256
        assert kinds(manager, "m").count("loaded") == 1
        assert "failed" not in kinds(manager)


async def test_a_request_that_waits_for_a_removed_model_fails_as_unknown(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        manager.catalog.import_gguf(write_model(tmp_path / "other.gguf", seed=7))
        manager.budget_bytes = int(manager.need("m").ram * 1.5)
        async with manager.lease("other"):
            waiting = asyncio.create_task(manager.load("m"))
            await until(lambda: "waited" in kinds(manager, "m"))
            Catalog(tmp_path / "models").remove("m")
            await manager.rescan()
            with pytest.raises(UnknownModel):
                await waiting
        assert states(manager)["other"] == "loaded"


async def test_an_adapter_is_never_applied_to_a_version_that_it_was_not_checked_against(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        manager.adapters.import_gguf(write_adapter(tmp_path / "before.gguf"))
        async with manager.lease("m", [AdapterRef("before")]) as old:
            await text_of(old)
            replace(tmp_path, shape=WIDER)
            manager.adapters.import_gguf(write_adapter(tmp_path / "after.gguf", shape=WIDER))
            await manager.rescan()
            with pytest.raises(InvalidModelFile):
                async with manager.lease("m", [AdapterRef("before")]):
                    pass
            async with manager.lease("m", [AdapterRef("after")]) as new:
                assert new.spec.sha256 != old.spec.sha256
                assert await text_of(new)


async def test_an_adapter_that_fits_both_versions_does_not_wait_for_the_new_one(tmp_path: Path) -> None:
    async with with_one(tmp_path) as manager:
        manager.adapters.import_gguf(write_adapter(tmp_path / "polite.gguf"))
        async with manager.lease("m", [AdapterRef("polite")]) as old:
            replace(tmp_path)
            await manager.rescan()
            async with manager.lease("m", [AdapterRef("polite")], wait_s=0.2) as meanwhile:
                assert meanwhile.spec.sha256 == old.spec.sha256
