"""Runs a real `docent serve` for the long proofs: starts, watches, kills and restarts it on one home.

It logs to a file beside the home: a pipe would have to be drained, and a proof may fill the home's own disk.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from appliance.client import Client
from appliance.errors import DocentError

SERVE = (sys.executable, "-m", "appliance", "serve")
_ENVIRONMENT = {"DOCENT_LIBRARY_SETTLE_SECONDS": "0.3", "PYTHONUNBUFFERED": "1"}
_READY_SECONDS = 600.0  # generous, for a loaded machine
_STOP_SECONDS = 60.0


class DiedError(Exception):
    """The service ended unexpectedly; the message is the end of its log."""


class Service:
    """One home, and the process that serves it while it runs."""

    def __init__(self, home: Path, log: Path, *, command: Sequence[str] = SERVE, **environment: str) -> None:
        self.home = home
        self.library = home / "library"
        self.database = home / "docent.db"
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._command = command
        self._environment = {**os.environ, **_ENVIRONMENT, **environment, "DOCENT_HOME": str(home)}
        self._client: Client | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def client(self) -> Client:
        """A client of the current process; opened on first use, closed at the next start."""
        if self._client is None:
            self._client = Client(self.home / "docent.sock")
        return self._client

    def start(self) -> None:
        """Starts the process without waiting for it to answer."""
        assert not self.runs
        self._forget_client()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.starts += 1

    def wait_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Waits until the service answers.

        Raises:
            DiedError: the process has ended.
            TimeoutError: it does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while not ((self.home / "docent.sock").exists() and self.client.ready()):
            if not self.runs:
                raise DiedError(self.log_end())
            if time.monotonic() > deadline:
                raise TimeoutError(f"docent serve did not answer within {seconds} s:\n{self.log_end()}")
            time.sleep(0.05)

    def wait_done(self, seconds: float, files: int | None = None) -> None:
        """Waits until nothing is queued and, if `files` is given, that many documents are known.

        Raises:
            DiedError: the process has ended.
            TimeoutError: it takes longer; the message holds its status.
        """
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 4:  # the queue is briefly empty between a watch event and its row
            if not self.runs:
                raise DiedError(self.log_end())
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done within {seconds} s: {self._status_text()}\n{self.log_end()}")
            quiet = quiet + 1 if self._is_done(files) else 0
            time.sleep(0.25)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end of the process."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._forget_client()

    def stop(self) -> int:
        """Sends SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        finally:
            self._forget_client()

    def children(self) -> list[psutil.Process]:
        """All descendants of the process; empty if it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def log_end(self, lines: int = 15) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _is_done(self, files: int | None) -> bool:
        with contextlib.suppress(DocentError):
            status = self.client.status()
            known = sum(status.documents.model_dump().values())
            return status.queue == 0 and status.documents.indexing == 0 and (files is None or known == files)
        return False

    def _status_text(self) -> str:
        with contextlib.suppress(DocentError):
            return str(self.client.status())
        return "it does not answer"

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


@contextmanager
def serving(home: Path, *, command: Sequence[str] = SERVE, **environment: str) -> Iterator[Service]:
    """Runs a service on `home` until the block ends; yields it once it answers."""
    home.mkdir(parents=True, exist_ok=True)
    service = Service(home, home.parent / f"{home.name}.log", command=command, **environment)
    try:
        service.start()
        service.wait_ready()
        yield service
    finally:
        if service.runs:
            service.stop()


def place(data: bytes, target: Path) -> None:
    """Adds a file to a library as a careful program does: writes it under a hidden name, syncs it, then renames it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.parent / f".{target.name}.tmp"
    with hidden.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    hidden.rename(target)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process and all its descendants, ended children included."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
