"""The interface while the service is not running, and when it returns."""

from pathlib import Path

import pytest

from tests.fake_service import FakeService, document, serving
from tests.tui.driving import shown, until
from tui import feed
from tui.app import DocentApp


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "RETRY_SECONDS", 0.01)


async def test_a_service_that_does_not_run_is_explained(socket: Path) -> None:
    async with DocentApp(socket).run_test() as pilot:
        await until(pilot, lambda: "the service is not running" in shown(pilot, "#status"))
        assert "docent serve" in shown(pilot, "#status")


async def test_it_connects_when_the_service_appears_and_again_after_a_restart(socket: Path) -> None:
    first, second = FakeService(), FakeService()
    first.put(document("one.pdf"))
    second.put(document("one.pdf"))
    second.put(document("two.pdf"))
    async with DocentApp(socket).run_test() as pilot:
        await until(pilot, lambda: "not running" in shown(pilot, "#status"))
        with serving(first, socket):
            await until(pilot, lambda: shown(pilot, "#status").startswith("● ready  1 indexed"))
        await until(pilot, lambda: "not running" in shown(pilot, "#status"))
        with serving(second, socket):
            await until(pilot, lambda: shown(pilot, "#status").startswith("● ready  2 indexed"))


async def test_without_an_event_stream_it_polls(socket: Path) -> None:
    service = FakeService()
    service.events_broken = True
    with serving(service, socket):
        async with DocentApp(socket).run_test() as pilot:
            await until(pilot, lambda: shown(pilot, "#status").startswith("● ready  0 indexed"))
            service.put(document("one.pdf"))
            await until(pilot, lambda: shown(pilot, "#status").startswith("● ready  1 indexed"))
