"""Runs `docent serve` as a process of its own, for tests of signals, kills, children and exit codes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from appliance.client import Client
from tests.live import places_of, wait_until

ENVIRONMENT = {"DOCENT_LIBRARY_SETTLE_SECONDS": "0.2", "DOCENT_MODELS_THREADS": "1", "DOCENT_MODELS_CONTEXT": "512"}


class Served:
    """A running `docent serve`."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]") -> None:
        self.home = home
        self.library = home / "library"
        self.process = process
        self.client = Client(places_of(home).socket)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds: float = 15.0) -> int:
        """Sends SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def children(self) -> list[psutil.Process]:
        """All descendants of the process."""
        return psutil.Process(self.process.pid).children(recursive=True)


def serve_command(home: Path, **environment: str) -> "subprocess.Popen[str]":
    """Starts `docent serve` on a home, its output on a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "appliance", "serve"],
        env={**os.environ, **ENVIRONMENT, **environment, "DOCENT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def served(home: Path, **environment: str) -> Iterator[Served]:
    """Runs a service until the block ends, then kills it if it still runs; yields it once it answers."""
    process = serve_command(home, **environment)
    assert process.stdout is not None
    service = Served(home, process)
    try:

        def answers() -> bool:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            return places_of(home).socket.exists() and service.client.ready()

        wait_until(answers, "docent serve to answer")
        yield service
    finally:
        service.client.close()
        if process.poll() is None:
            service.kill()
        process.stdout.close()
