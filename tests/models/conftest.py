"""One folder of tiny models for all tests that only read it."""

from pathlib import Path

import pytest

from ingest.parsing.forkserver import PARSERS
from tests.models.managed import make_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", autouse=True)
def no_parsers() -> None:
    """Tests here count this process's children and descriptors: what other tests have left may not end meanwhile."""
    PARSERS.close()
