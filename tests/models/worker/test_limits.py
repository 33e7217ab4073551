"""A limit of CPU time applies in its block only."""

import contextlib
import signal

import pytest

from models.worker.limits import TimeIsUp, cpu_time


def work_on() -> None:
    while True:
        pass


def test_a_block_that_does_not_end_is_stopped() -> None:
    with pytest.raises(TimeIsUp), cpu_time(0.05):
        work_on()


def test_a_signal_after_the_block_has_no_effect() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with cpu_time(60):
        expire = signal.getsignal(signal.SIGVTALRM)
    assert callable(expire)
    expire(signal.SIGVTALRM, None)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_the_limit_raises_again_if_it_was_swallowed() -> None:
    def swallow_once() -> None:
        with contextlib.suppress(TimeIsUp):
            work_on()
        work_on()

    with pytest.raises(TimeIsUp), cpu_time(0.02):
        swallow_once()
