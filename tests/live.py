"""Runs a real service on a home of its own, in a thread of the test's process, and waits for what it does.

Everything is real: the socket, the watcher, the parser's process, the embedding model, the database.
"""

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from appliance import wire
from appliance.api.context import Context
from appliance.client import Client
from appliance.config.places import Places
from appliance.config.settings import Settings
from appliance.service import running

T = TypeVar("T")
DEADLINE_SECONDS = 60.0
FAST = Settings.model_validate({"library": {"settle_seconds": 0.2}, "models": {"threads": 1, "context": 512}})


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Polls until `condition()` returns something true, and returns it.

    Raises:
        AssertionError: that takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
    return found


class Live:
    """A running service."""

    def __init__(self, places: Places, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self.places = places
        self.context = context
        self.loop = loop
        self.client = Client(places.socket)

    @property
    def library(self) -> Path:
        return self.places.library

    def document(self, path: str) -> wire.Document | None:
        """The document at a path; None if the service does not know it."""
        return next(self.client.documents(document=path), None)

    def wait_for(self, path: str, *states: str) -> wire.Document:
        """Waits until the document is in one of the states, by default `indexed` or `failed`."""
        accepted = states or ("indexed", "failed")

        def reached() -> wire.Document | None:
            found = self.document(path)
            return found if found and found.state in accepted else None

        return wait_until(reached, f"{path} to be {' or '.join(accepted)}; it is {self.document(path)}")

    def drop(self, path: str, content: bytes) -> wire.Document:
        """Writes a file into the library as a person would, and waits until it is indexed or failed."""
        target = self.library / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return self.wait_for(path)


def short_home() -> tempfile.TemporaryDirectory[str]:
    """A temporary home in /tmp, whose socket path is short enough on every machine."""
    return tempfile.TemporaryDirectory(prefix="docent-", dir="/tmp", ignore_cleanup_errors=True)


def places_of(home: Path) -> Places:
    """The standard places below a home."""
    return Places(home, home / "docent.sock", home / "docent.toml")


@contextmanager
def live_service(home: Path, settings: Settings = FAST) -> Iterator[Live]:
    """Runs a service on `home` until the block ends; yields it once it is ready."""
    places = places_of(home)
    started: list[Live | BaseException] = []
    begun, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        try:
            async with running(places, settings) as context:
                started.append(Live(places, context, asyncio.get_running_loop()))
                begun.set()
                await stop.wait()
        except BaseException as error:
            started.append(error)
            begun.set()
            raise

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - re-raised in the test's thread
            if not isinstance(started[0], BaseException):
                failures.append(error)

    failures: list[BaseException] = []
    thread = threading.Thread(target=run, name="service")
    thread.start()
    begun.wait()
    live = started[0]
    if isinstance(live, BaseException):
        thread.join()
        raise live
    try:
        wait_until(live.client.ready, "the service to be ready")
        yield live
    finally:
        live.client.close()
        live.loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive(), "the service did not stop"
        if failures:
            raise failures[0]
