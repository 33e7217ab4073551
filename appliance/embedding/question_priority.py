"""Slows the embedding of passages while questions are answered: to a quarter of the full speed.

Embedding a text takes about 20 ms and cannot be interrupted, so passages wait between two texts: after each one long
enough to leave them a quarter of the time, and no longer, so that constant questions cannot stop the reading. The
moments between two questions of one client are no time for passages either (`LINGER_SECONDS`).
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINGER_SECONDS = 0.1
"""How long passages still wait after the last question has been answered. Chosen by eye."""
WAIT_RATIO = 3.0
"""Seconds of waiting for each second of work: a quarter of the speed is left."""
_MOST_WORK = 0.25
"""Seconds between two turns beyond this are not counted as work: the thread waited for something. Chosen by eye."""


class QuestionsFirst:
    """Thread-safe; questions never wait for it."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        """`wait(condition, seconds)` waits for the condition, at most that long."""
        self._clock = clock
        self._wait_for = wait
        self._changed = threading.Condition()
        self._questions = 0  # guarded by _changed
        self._quiet_at = 0.0  # when passages no longer linger behind the last question; guarded by _changed
        self._worked = threading.local()

    @contextmanager
    def question(self) -> Iterator[None]:
        """Passages go slowly for the time of the block: a question is being answered."""
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
        """Wait for one text's turn; its work is the block."""
        self._wait(getattr(self._worked, "seconds", 0.0))
        begun = self._clock()
        try:
            yield
        finally:
            self._worked.seconds = self._clock() - begun

    def pause(self) -> None:
        """Wait as between two passages, for continuous work that is not divided into texts."""
        now = self._clock()
        self._wait(min(now - getattr(self._worked, "since", now), _MOST_WORK))
        self._worked.since = self._clock()

    @property
    def asked(self) -> bool:
        """Whether a question is being answered, or was within `LINGER_SECONDS`."""
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
                # without a question only the lingering time is left, whose end notifies no condition
                linger = left if self._questions else max(self._quiet_at - self._clock(), 0.001)
                self._wait_for(self._changed, min(left, linger))


class Hold:
    """Pauses the readers of documents while the rebuild of the vectors catches up with what they have read."""

    def __init__(self, seconds: float = 10.0) -> None:
        """No reader waits longer than `seconds` for one text."""
        self._seconds = seconds
        self._free = threading.Event()
        self._free.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause the readers for the time of the block."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self) -> None:
        """Wait while held, at most the time given at the start."""
        self._free.wait(self._seconds)
