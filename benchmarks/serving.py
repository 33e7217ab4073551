"""A real `docent serve` for the long proofs: started, watched, killed and started again on one home.

It logs into a file beside the home, not into a pipe that somebody would have to empty, nor onto the home's own disk,
which a proof may fill.
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
_READY_SECONDS = 600.0  # on a machine that has other things to do
_STOP_SECONDS = 60.0


class DiedError(Exception):
    """The service ended by itself; the text is the end of its log."""


class Service:
    """One home and the process that serves it, if any."""

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
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self.process is not None
        return self.process.pid

    @property
    def client(self) -> Client:
        """A client of this start of the service."""
        if self._client is None:
            self._client = Client(self.home / "docent.sock")
        return self._client

    def start(self) -> None:
        """Start the process and return at once."""
        assert not self.runs
        self._forget_client()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.starts += 1

    def wait_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Until it answers.

        Raises:
            DiedError: it has ended.
        """
        deadline = time.monotonic() + seconds
        while not ((self.home / "docent.sock").exists() and self.client.ready()):
            if not self.runs:
                raise DiedError(self.log_end())
            if time.monotonic() > deadline:
                raise TimeoutError(f"docent serve did not answer within {seconds} s:\n{self.log_end()}")
            time.sleep(0.05)

    def wait_done(self, seconds: float, files: int | None = None) -> None:
        """Until nothing is queued, and `files` documents are known if that is given.

        Raises:
            DiedError: it has ended.
            TimeoutError: it takes longer, with what it is at.
        """
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 4:  # between a watch's report and its row in the queue nothing is queued
            if not self.runs:
                raise DiedError(self.log_end())
            if time.monotonic() > deadline:
                raise TimeoutError(f"not done within {seconds} s: {self._told()}\n{self.log_end()}")
            quiet = quiet + 1 if self._is_done(files) else 0
            time.sleep(0.25)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._forget_client()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(_STOP_SECONDS)
        finally:
            self._forget_client()

    def children(self) -> list[psutil.Process]:
        """All processes that it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def log_end(self, lines: int = 15) -> str:
        """What it said last."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _is_done(self, files: int | None) -> bool:
        with contextlib.suppress(DocentError):
            status = self.client.status()
            known = sum(status.documents.model_dump().values())
            return status.queue == 0 and status.documents.indexing == 0 and (files is None or known == files)
        return False

    def _told(self) -> str:
        with contextlib.suppress(DocentError):
            return str(self.client.status())
        return "it does not answer"

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


@contextmanager
def serving(home: Path, *, command: Sequence[str] = SERVE, **environment: str) -> Iterator[Service]:
    """A service that answers on `home`; ended when the block is left."""
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
    """Put a file into a library as a careful copier does: hidden first, on the disk, then renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.parent / f".{target.name}.tmp"
    with hidden.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    hidden.rename(target)


def cpu_seconds(process: psutil.Process) -> float:
    """What a process and all that it has started have used; of children, those that have ended count too."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
