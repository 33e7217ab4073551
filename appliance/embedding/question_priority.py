"""Questions first: passages are embedded at full speed while nobody asks, and at a quarter of it while somebody does.

A text takes about 20 ms and cannot be broken off, so it is between two texts that passages wait: after each one as long
as it takes to keep a quarter of the time, and no longer, so that somebody who asks all the time cannot stop the reading.
The moments between two questions of one who asks on are no time for passages either (`LINGER_SECONDS`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINGER_SECONDS = 0.1
WAIT_RATIO = 3.0
"""Seconds of waiting for each second of work: a quarter of the speed is left."""
_MOST_WORK = 0.25
"""Work between two turns beyond this was not work: the thread waited for something."""


class QuestionsFirst:
    """May be used from any thread; questions never wait for it."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        """`wait(condition, seconds)` waits for the condition, no longer than that."""
        self._clock = clock
        self._wait_for = wait
        self._changed = threading.Condition()
        self._questions = 0  # guarded by _changed
        self._quiet_at = 0.0  # when the last question's echo is over; guarded by _changed
        self._worked = threading.local()

    @contextmanager
    def question(self) -> Iterator[None]:
        """Somebody waits for an answer."""
        with self._changed:
            self._questions += 1
        try:
            yield
        finally:
            with self._changed:
                self._questions -= 1
                self._quiet_at = self._clock() + LINGER_SECONDS
                self._changed.notify_all()

    @contextmanager
    def passage(self) -> Iterator[None]:
        """One text's turn; waits for it."""
        self._wait(getattr(self._worked, "seconds", 0.0))
        begun = self._clock()
        try:
            yield
        finally:
            self._worked.seconds = self._clock() - begun

    def pause(self) -> None:
        """Like the end of a `passage` and the begin of the next, for work in a row that is not of one piece."""
        now = self._clock()
        self._wait(min(now - getattr(self._worked, "since", now), _MOST_WORK))
        self._worked.since = self._clock()

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer, or did a moment ago."""
        with self._changed:
            return self._busy()

    def _busy(self) -> bool:
        return self._questions > 0 or self._clock() < self._quiet_at

    def _wait(self, worked: float) -> None:
        with self._changed:
            if not self._busy():
                return
            until = self._clock() + WAIT_RATIO * worked
            while self._busy() and (left := until - self._clock()) > 0:
                # without a question only the echo is waited for: nobody tells when it is over
                echo = left if self._questions else max(self._quiet_at - self._clock(), 0.001)
                self._wait_for(self._changed, min(left, echo))


class Hold:
    """Lets those who read documents wait while the rebuild of the vectors catches up with what they have read."""

    def __init__(self, seconds: float = 10.0) -> None:
        """Nobody waits longer than `seconds` for one text."""
        self._seconds = seconds
        self._free = threading.Event()
        self._free.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the others wait."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self) -> None:
        """Wait, if somebody holds."""
        self._free.wait(self._seconds)
