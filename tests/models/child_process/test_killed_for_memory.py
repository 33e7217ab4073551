"""A model's process that runs out of memory is the kernel's victim; the service's own process is as it was."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.limited import unlimited_because

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.root
def test_under_a_memory_limit_the_kernel_kills_a_model_s_process_and_the_service_answers_on() -> None:
    if reason := unlimited_because():
        pytest.skip(reason)
    run = [sys.executable, "-m", "benchmarks.overcommit", "--json"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=100)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"] >= 1
    assert all("SIGKILL" in death for death in told["deaths"])
    assert told["answers again"]
    assert told["children left"] == 0
    assert abs(told["own process after"] - told["own process before"]) < 32 << 20
