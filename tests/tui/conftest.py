"""A fake service on a real socket, and an interface connected to it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_service import FakeService, serving
from tui.app import DocentApp


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path that is short enough for a socket, however long that of the test's temporary folder is."""
    with tempfile.TemporaryDirectory(prefix="docent-", dir="/tmp") as folder:
        yield Path(folder) / "s"


@pytest.fixture
def service(socket: Path) -> Iterator[FakeService]:
    """Served on `socket`."""
    fake = FakeService()
    with serving(fake, socket):
        yield fake


@pytest.fixture
def app(service: FakeService, socket: Path) -> DocentApp:
    """The interface of `service`."""
    return DocentApp(socket)
