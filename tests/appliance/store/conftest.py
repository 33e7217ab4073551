"""A fresh store for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.store import Store
from tests.appliance.store.filling import EMBEDDER, embed


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed) as opened:
        yield opened
