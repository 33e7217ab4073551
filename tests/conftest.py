"""Fixtures shared by the whole suite."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, live_service, short_home

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell makes background jobs ignore SIGINT; the tests of Ctrl-C and their children need the default handler
    signal.signal(signal.SIGINT, signal.default_int_handler)

SAMPLES = Path(__file__).resolve().parents[1] / "appliance" / "samples"


@pytest.fixture(scope="session")
def answering() -> Iterator[Live]:
    """A shared service with the sample documents indexed, for tests that change nothing."""
    with short_home() as home, live_service(Path(home)) as service:
        names = sorted(path.name for path in SAMPLES.glob("*.pdf"))
        for name in names:
            (service.library / name).write_bytes((SAMPLES / name).read_bytes())
        for name in names:
            assert service.wait_for(name).state == "indexed"
        yield service


@pytest.fixture
def live() -> Iterator[Live]:
    """A service of the test's own, with an empty library."""
    with short_home() as home, live_service(Path(home)) as service:
        yield service
