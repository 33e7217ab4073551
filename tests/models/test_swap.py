"""Another content under a model's name: the old one answers until the new one is ready, where both fit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.adapters import AdapterCatalog
from models.catalog import Catalog
from models.manager import Manager
from tests.gguf_builder import Shape, write_model
from tests.models.managed import FAST, kinds, text_of, until


@asynccontextmanager
async def with_one(folder: Path, budget: int = 1 << 30) -> AsyncIterator[Manager]:
    catalog = Catalog(folder / "models")
    catalog.import_gguf(write_model(folder / "m.gguf"))
    adapters = AdapterCatalog(folder / "adapters")
    async with Manager(catalog, adapters, budget_bytes=budget, defaults=FAST) as manager:
        yield manager


def replace(folder: Path, *, without: str = "") -> None:
    """As another process does it."""
    other = Catalog(folder / "models")
    other.remove("m")
    other.import_gguf(write_model(folder / "m.gguf", seed=5, shape=Shape(context=1024), without=without))


def pids(manager: Manager) -> set[int | None]:
    return {holder.pid for holder in manager.report().holders}


async def test_the_old_content_answers_until_the_new_one_is_ready_and_leaves_when_it_is_released(
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


async def test_where_both_do_not_fit_the_old_one_leaves_when_it_is_idle_and_then_the_new_one_loads(
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


async def test_if_the_new_content_cannot_be_loaded_the_old_one_answers_and_the_reason_is_told(tmp_path: Path) -> None:
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
