"""A Ctrl-C is never lost."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.cli.shared.interrupts import reliable_interrupts

ROOT = Path(__file__).parents[3]
_SWALLOWED = """
import os, signal, sys
from appliance.cli.shared.interrupts import reliable_interrupts

class Finalised:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

reading, _ = os.pipe()
try:
    with reliable_interrupts():
        Finalised()
        print("swallowed", flush=True)
        os.read(reading, 1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_that_a_finaliser_swallowed_arrives_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SWALLOWED], capture_output=True, text=True, cwd=ROOT, timeout=30, check=False
    )
    assert done.stdout == "swallowed\ninterrupted\n"


def test_afterwards_everything_is_as_before() -> None:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with reliable_interrupts():
        pass
    assert signal.set_wakeup_fd(-1) == -1
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), reliable_interrupts():
        signal.raise_signal(signal.SIGINT)
