"""Adapters and prompt caches count in the budget, and are evicted before any model."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.adapters.catalog import AdapterCatalog
from models.errors import ModelTooLarge
from models.residency.manager import Manager
from models.types import AdapterRef
from tests.gguf_builder import write_adapter
from tests.models.managed import FAST, kinds, managed, text_of, until

MORE = ("one", "two", "three")


@pytest.fixture(scope="module")
def with_adapters(home: Path) -> Path:
    adapters = AdapterCatalog(home / "adapters")
    for number, name in enumerate(MORE):
        adapters.import_gguf(write_adapter(home / f"{name}.gguf", seed=number + 2, rank=16))
    return home


def resident(manager: Manager) -> list[str]:
    return [adapter.id for holder in manager.report().holders for adapter in holder.adapters]


async def ask(manager: Manager, *adapters: str) -> str:
    async with manager.lease("a", [AdapterRef(name) for name in adapters]) as lease:
        return await text_of(lease)


async def test_the_least_recently_used_adapter_is_evicted_for_another_and_reloaded_on_demand(
    with_adapters: Path,
) -> None:
    async with managed(with_adapters) as manager:
        await manager.load("a")
        size = manager.adapters.get("one").size
        manager.budget_bytes = manager.report().used["ram"] + 2 * size + 100
        first = await ask(manager, "one")
        await ask(manager, "two")
        assert manager.report().used["ram"] > manager.budget_bytes - size
        await ask(manager, "three")
        assert resident(manager) == ["two", "three"]
        assert "trimmed" in kinds(manager)
        assert await ask(manager, "one") == first
        assert resident(manager) == ["three", "one"]
        assert kinds(manager).count("loaded") == 1, "no model was loaded anew for an adapter"


async def test_a_request_never_evicts_its_own_adapters(with_adapters: Path) -> None:
    async with managed(with_adapters) as manager:
        await manager.load("a")
        size = manager.adapters.get("one").size
        manager.budget_bytes = manager.report().used["ram"] + 2 * size + 100
        await ask(manager, "one", "two")
        with pytest.raises(ModelTooLarge):
            await ask(manager, "one", "two", "three")
        assert await ask(manager, "two", "three")


async def test_a_prompt_cache_is_dropped_where_a_model_would_not_fit_and_trimmed_where_another_needs_it(
    home: Path,
) -> None:
    caching = replace(FAST, cache_bytes=8 << 20, measure_s=0.1, watch_s=0.1)
    async with managed(home, caching) as manager:
        await manager.load("b")
        await manager.load("a")
        both = manager.need("a").ram + manager.need("b").ram - 2 * caching.cache_bytes
        lean = manager.need("a").ram - caching.cache_bytes
    async with managed(home, caching) as manager:
        manager.budget_bytes = lean + 1000
        await manager.load("a")
        assert manager.report().holders[0].predicted <= lean
    async with managed(home, caching) as manager:
        manager.budget_bytes = both + caching.cache_bytes // 2
        await manager.load("a")
        assert manager.report().used["ram"] == lean + caching.cache_bytes
        await manager.load("b")
        assert {holder.id for holder in manager.report().holders} == {"a", "b"}
        assert "trimmed" in kinds(manager, "a")
        assert manager.report().used["ram"] <= manager.budget_bytes
        await manager.unload("b")
        await until(lambda: manager.report().used["ram"] == lean + caching.cache_bytes)
