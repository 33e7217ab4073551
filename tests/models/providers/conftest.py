"""A folder whose path is short enough for sockets."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for sockets."""
    with tempfile.TemporaryDirectory(prefix="docent-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)
