"""Limits on what one document may cost, and the kernel limits (rlimits) that enforce them in the parser's process.

The parent enforces time and message sizes (`parsing.extraction`); the rlimits hold even when the parent is gone. A
deadline counts the process's own processor time, because on a busy machine the process may have to wait and its
document must not fail for that. The clock counts too, with a far later deadline, for a process that does nothing at
all.
"""

import resource
import time
from dataclasses import asdict, dataclass

MIB = 1024 * 1024
GIB = 1024 * MIB
_CPU_GRACE_SECONDS = 5
"""Between SIGXCPU and the kernel's SIGKILL. Chosen by eye."""
PATIENCE = 10
"""By the clock, a process may take this many times its processor time: see "A deadline is processor time" in
docs/decisions.md."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for reading one document. The defaults are far above what any honest document needs."""

    page_seconds: float = 60.0
    """Processor time for one page."""
    document_seconds: float = 1800.0
    """Processor time for all pages together."""
    patience: float = PATIENCE
    """By the clock, a page or document may take this many times its processor time. Only time in which the parent waits
    for the process counts."""
    memory_bytes: int = 1024 * MIB
    """Memory of the parser's process, without the mapped file."""
    file_bytes: int = 4096 * MIB
    pages: int = 100_000
    page_characters: int = 1_000_000
    page_words: int = 100_000
    bookmarks: int = 5000
    """Further ones are left out."""
    message_bytes: int = 8 * MIB
    """One page as it travels; checked before anything is allocated for it. Hostile JSON may take 20 times that once
    parsed."""
    picture_pixels: int = 12_000_000
    """Pixels of a page's picture for text recognition; a larger page is rendered at a lower resolution."""
    stderr_bytes: int = 4096
    """How much of the parser's stderr is kept for the log."""

    def as_dict(self) -> dict[str, float]:
        """The values by name, as they travel to the parser's process."""
        return asdict(self)


def apply(limits: Limits, file_size: int) -> None:
    """Limit this process: no new files, no new processes, no core dump. `file_size` is added as the file is mapped.

    RLIMIT_NPROC does not bind root; the seccomp filter refuses new processes in any case. The CPU limit ends the
    process by SIGXCPU first, so a SIGKILL always comes from outside.
    """
    memory = limits.memory_bytes + file_size
    seconds = int(limits.document_seconds) + 1
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        _lower(what, value)
    _lower(resource.RLIMIT_CPU, seconds + _CPU_GRACE_SECONDS, seconds)


def _lower(what: int, value: int, soft: int | None = None) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value if soft is None else min(soft, value), value))


class Deadline:
    """The time that a process may take from now on, in seconds of processor time and by the clock."""

    def __init__(self, process: int, seconds: float, clock_seconds: float | None = None) -> None:
        self._clock = (~process << 3) | 2  # the process's CPU clock: clock_getcpuclockid(3)
        self._cpu = self._spent() + seconds
        self._wall = time.monotonic() + (PATIENCE * seconds if clock_seconds is None else clock_seconds)

    def is_spent(self) -> bool:
        """Whether the processor time is used up."""
        return self._spent() > self._cpu

    def is_missed(self) -> bool:
        """Whether the time by the clock is over."""
        return time.monotonic() > self._wall

    def _spent(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # it has ended; its pipe shows that
            return 0.0
