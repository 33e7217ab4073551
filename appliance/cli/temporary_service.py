"""Runs a real service on a temporary home as a child process, and always removes both.

SIGINT and SIGTERM stop it in order. They are deferred while the child is started and during clean-up: between the fork
and the moment this process knows its child, an interruption would leave the child running for ever.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from appliance.client import Client
from appliance.config.places import MAX_SOCKET_PATH, Places, find_places
from appliance.errors import DocentError

_START_SECONDS = 60.0  # chosen by eye, like the next two
_STOP_SECONDS = 15.0
_LOG_LINES = 30
_AGAIN_SECONDS = 0.25
_FOREIGN = ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS")


class Interrupts:
    """Turns SIGINT and SIGTERM into `KeyboardInterrupt`, and can defer them; main thread only."""

    def __init__(self) -> None:
        self._held = False
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _arrived(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._waiting = True
            return
        # An exception inside a finaliser or an import callback is swallowed, so a timer raises it again.
        if signal.SIGALRM not in self._before:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._arrived)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defers signals until the block is left; `check` raises them."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Raises a deferred KeyboardInterrupt."""
        if self._waiting:
            raise KeyboardInterrupt


@dataclass(frozen=True, slots=True)
class TemporaryService:
    """A running service."""

    process: "subprocess.Popen[bytes]"
    places: Places
    client: Client
    log: Path

    def require_running(self, doing: str) -> None:
        """Raises DocentError with the end of the log if the service has exited."""
        if self.process.poll() is not None:
            raise self.failed(doing, f"the service ended with status {self.process.returncode}")

    def failed(self, doing: str, why: str) -> DocentError:
        """An error that shows the end of the service's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        end = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return DocentError(
            doing, f"{why}. The end of its log:\n{end}", "run `docent doctor` to check this installation"
        )


@contextmanager
def temporary_home(interrupts: Interrupts, *, keep: bool) -> Iterator[Path]:
    """Yields a new folder in which a socket's path is short enough; removes it afterwards unless `keep`."""
    home = Path(tempfile.mkdtemp(prefix="docent-demo-"))
    if len(os.fsencode(home / "docent.sock")) > MAX_SOCKET_PATH:
        home.rmdir()
        home = Path(tempfile.mkdtemp(prefix="docent-demo-", dir="/tmp"))
    try:
        yield home
    finally:
        with interrupts.held():
            if not keep:
                shutil.rmtree(home, ignore_errors=True)


@contextmanager
def temporary_service(home: Path, interrupts: Interrupts) -> Iterator[TemporaryService]:
    """Yields a ready service on `home`; stops it afterwards.

    Raises:
        DocentError: it did not become ready; the error shows the end of its log.
    """
    environment = _environment(home)
    places = find_places(environment)
    process: subprocess.Popen[bytes] | None = None
    try:
        with interrupts.held():
            process = _start(environment, home / "service.log")
        interrupts.check()
        with Client(places.socket) as client:
            service = TemporaryService(process, places, client, home / "service.log")
            _await_ready(service)
            yield service
    finally:
        with interrupts.held():
            if process:
                _stop(process)


def _environment(home: Path) -> dict[str, str]:
    """This process's environment, without variables that point to another home."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("DOCENT_") and name not in _FOREIGN
    }
    return {**kept, "DOCENT_HOME": str(home), "DOCENT_LIBRARY_SETTLE_SECONDS": "0.5"}


def _start(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches only this process, which then stops the service in order.
        return subprocess.Popen(
            [sys.executable, "-m", "appliance", "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _await_ready(service: TemporaryService) -> None:
    doing = "starting the service"
    deadline = time.monotonic() + _START_SECONDS
    while not service.client.ready():
        service.require_running(doing)
        if time.monotonic() > deadline:
            raise service.failed(doing, f"it was not ready within {_START_SECONDS:.0f} seconds")
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
