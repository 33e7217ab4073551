"""Finding a model by name: those on this machine first, then the providers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import NotSupported, ProviderFailed, UnknownModel
from models.providers.interface import BreakerLimits, ProviderSpec
from models.providers.registry import Providers
from models.residency.manager import Manager
from models.types import AdapterRef
from tests.gguf_builder import write_model


@asynccontextmanager
async def registry(folder: Path) -> AsyncIterator[Providers]:
    """The model `here`; the providers `here`, which it hides, and `far`, whose socket has no server."""
    catalog = Catalog(folder / "models")
    catalog.import_gguf(write_model(folder / "here.gguf"), model_id="here")
    nowhere = folder / "nowhere.sock"
    specs = [
        ProviderSpec(name, "openai", "m", socket=nowhere, breaker=BreakerLimits(min_calls=1))
        for name in ("here", "far")
    ]
    manager = Manager(catalog, AdapterCatalog(folder / "adapters"), budget_bytes=2 << 30)
    async with manager, Providers(manager, specs) as providers:
        yield providers


async def test_a_local_model_hides_a_provider_of_its_name_and_unknown_names_are_refused(folder: Path) -> None:
    async with registry(folder) as providers:
        assert [spec.id for spec in providers.catalog.list()] == ["here"]
        assert providers.catalog.get("here").id == "here"
        assert isinstance(providers.catalog.get("far"), ProviderSpec)
        with pytest.raises(UnknownModel):
            providers.catalog.get("nobody")
        with pytest.raises(UnknownModel):
            async with providers.lease("nobody"):
                pass
        async with providers.lease("here") as lease:
            assert await lease.count_tokens("the pump") > 0


async def test_a_provider_is_listed_with_its_state_and_the_reason_of_a_failure(folder: Path) -> None:
    async with registry(folder) as providers:
        assert [(one.spec.id, one.state, one.answers) for one in providers.list()] == [
            ("far", "installed", True),
            ("here", "failed", False),
        ]
        with pytest.raises(ProviderFailed):
            async with providers.lease("far"):
                pass
        assert providers.get("far").state == "failed"
        assert "no connection to" in (providers.get("far").reason or "")
        with pytest.raises(UnknownModel):
            providers.get("nobody")


async def test_adapters_with_a_provider_are_refused(folder: Path) -> None:
    async with registry(folder) as providers:
        with pytest.raises(NotSupported, match="adapter tone with the provider far"):
            providers.lease("far", [AdapterRef("tone", 1.0)])
        providers.check("here", [AdapterRef("tone", 1.0)])
