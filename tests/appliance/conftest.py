"""The library of `reports`, opened once for all tests that only read it."""

from collections.abc import Iterator

import pytest

from appliance.store import Store
from models.embedder import BUILTIN, Embedder
from tests.appliance.reports import open_library


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    with Embedder.open(BUILTIN, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def reports(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_library(tmp_path_factory.mktemp("reports") / "docent.db", embedder) as store:
        yield store
