"""A deadline for a process of ours that counts its own processor time: on a busy machine it may have to wait, and a
document must not be lost for that. By the clock it holds too, much later, for a process that does nothing at all.
"""

import time

PATIENCE = 10
"""Times its processor time is how long it may take by the clock."""


class Deadline:
    """Seconds that the process may take from now on."""

    def __init__(self, process: int, seconds: float, clock_seconds: float | None = None) -> None:
        self._clock = (~process << 3) | 2  # the process's CPU clock: clock_getcpuclockid(3)
        self._cpu = self._spent() + seconds
        self._wall = time.monotonic() + (PATIENCE * seconds if clock_seconds is None else clock_seconds)

    def is_spent(self) -> bool:
        """Whether it has used up its processor time."""
        return self._spent() > self._cpu

    def is_missed(self) -> bool:
        """Whether it is late by the clock."""
        return time.monotonic() > self._wall

    def _spent(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it has ended, which its pipe tells
            return 0.0
