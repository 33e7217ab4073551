"""Helpers for benchmarks of a running service: the service as a process, and percentiles."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.client import Client


@dataclass(frozen=True)
class Service:
    """A running `docent serve` and a client of its own."""

    process: "subprocess.Popen[bytes]"
    client: Client


@contextmanager
def served(home: Path) -> Iterator[Service]:
    """Runs a service on `home` until the block ends."""
    environment = {**os.environ, "DOCENT_HOME": str(home), "DOCENT_LIBRARY_SETTLE_SECONDS": "0.5"}
    process = subprocess.Popen([sys.executable, "-m", "appliance", "serve"], env=environment)
    client = Client(home / "docent.sock")
    try:
        while not client.ready():
            if process.poll() is not None:
                sys.exit("docent serve did not start")
            time.sleep(0.1)
        yield Service(process, client)
    finally:
        client.close()
        process.terminate()
        process.wait()


def percentile(values: Sequence[float], which: int) -> float:
    """The value that `which` per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * which // 100)]
