"""How much one document may cost, and the kernel's own limits that hold the parser's process to it.

The parent enforces time and message sizes (see `parsing.extraction`); what is set here holds even when the parent is gone.
A deadline counts the process's own processor time: on a busy machine it may have to wait, and a document must not be lost
for that. By the clock it holds too, much later, for a process that does nothing at all.
"""

import resource
import time
from dataclasses import asdict, dataclass

MIB = 1024 * 1024
_CPU_GRACE_SECONDS = 5


PATIENCE = 10
"""Times its processor time is how long it may take by the clock."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on reading one document. The defaults are far above any honest document."""

    page_seconds: float = 60.0
    """Processor time for one page."""
    document_seconds: float = 1800.0
    """Processor time for all pages together."""
    patience: float = PATIENCE
    """Times these is how long it may take by the clock; time in which the reader itself is waited for does not count."""
    memory_bytes: int = 1024 * MIB
    """Memory of the parser's process, the mapped file not counted."""
    file_bytes: int = 4096 * MIB
    pages: int = 100_000
    page_characters: int = 1_000_000
    page_words: int = 100_000
    bookmarks: int = 5000
    """More of them are left out."""
    message_bytes: int = 8 * MIB
    """One page as it travels; checked before anything is allocated for it. Parsed, hostile JSON may take 20 times that."""
    picture_pixels: int = 12_000_000
    """Of a page as it is shown to text recognition; larger pages are rendered more coarsely."""
    stderr_bytes: int = 4096
    """How much of the parser's complaints is kept for the log."""

    def as_dict(self) -> dict[str, float]:
        """The values by name, as they travel to the parser's process."""
        return asdict(self)


def apply(limits: Limits, file_size: int) -> None:
    """Bind this process. No new files, no new processes, no core dump; the file is mapped, so its size is added.

    RLIMIT_NPROC does not bind root; the seccomp filter refuses new processes in any case. The limit on CPU time first
    ends the process by SIGXCPU, so that SIGKILL tells of somebody else.
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
