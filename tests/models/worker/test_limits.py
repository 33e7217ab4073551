"""A limit of CPU time holds in its block and nowhere else."""

import contextlib
import signal

import pytest

from models.worker.limits import TimeIsUp, cpu_time


def work_on() -> None:
    while True:
        pass


def test_time_is_up_in_a_block_that_does_not_end() -> None:
    with pytest.raises(TimeIsUp), cpu_time(0.05):
        work_on()


def test_a_signal_that_comes_when_the_block_is_over_is_too_late() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with cpu_time(60):
        ring = signal.getsignal(signal.SIGVTALRM)
    assert callable(ring)
    ring(signal.SIGVTALRM, None)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_it_rings_again_where_the_first_time_was_not_heard() -> None:
    def deaf() -> None:
        with contextlib.suppress(TimeIsUp):
            work_on()
        work_on()

    with pytest.raises(TimeIsUp), cpu_time(0.02):
        deaf()
