"""When memory runs out, the kernel kills a model's process and leaves the service alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.limited import unlimited_because

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.root
def test_the_kernel_kills_a_models_process_and_the_service_continues() -> None:
    if reason := unlimited_because():
        pytest.skip(reason)
    run = [sys.executable, "-m", "benchmarks.overcommit", "--json"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=100)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["killed"] >= 1
    assert all("SIGKILL" in death for death in report["deaths"])
    assert report["answers again"]
    assert report["children left"] == 0
    assert abs(report["own process after"] - report["own process before"]) < 32 << 20
