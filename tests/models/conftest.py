"""One folder of tiny models for all tests that only read it."""

from pathlib import Path

import pytest

from tests.models.managed import make_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))
