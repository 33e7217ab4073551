"""A fresh store for each test that asks for one, and the library of `reports` for all tests that only read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.store import Store
from models.embedding.embedder import BUILTIN, Embedder
from tests.appliance.reports import open_library
from tests.appliance.store.filling import EMBEDDER, embed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Sound when the test has ended, too."""
    with Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed) as opened:
        yield opened
        assert opened.check() == []


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    with Embedder.open(BUILTIN, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def reports(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_library(tmp_path_factory.mktemp("reports") / "docent.db", embedder) as store:
        yield store
