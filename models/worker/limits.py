"""Limits that a model's child process sets for itself: CPU time, memory, files, and its rank for the OOM killer.

Rule: called only in the child, from its main thread. Needs no privileges.
"""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_OOM_SCORE = 800  # of at most 1,000. Chosen by eye, like the next.
_MAX_FILES = 1024


class TimeIsUp(BaseException):
    """A block used more CPU time than allowed. A BaseException, so that no `except Exception` swallows it."""


def harden(parent_pid: int) -> None:
    """Makes the process end with its parent, be the OOM killer's first choice, write no core file, gain no privileges."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the call above
        os._exit(0)
    with contextlib.suppress(OSError):  # /proc may be hidden; then the kernel may kill the service first
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@contextlib.contextmanager
def cpu_time(seconds: float) -> Iterator[None]:
    """Raises TimeIsUp in the block once the process has used so much CPU time, and every 0.1 s after. Main thread only.

    CPU time, not wall time, so that a harmless template does not fail on a busy machine.
    """
    over = False

    def expire(number: int, frame: FrameType | None) -> None:
        if not over:
            raise TimeIsUp

    before = signal.signal(signal.SIGVTALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.1)
        yield
    finally:
        over = True  # first: a signal during the next lines would keep them from running
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def extra_memory(allowance: int) -> Iterator[None]:
    """Makes allocations in the block raise MemoryError beyond `allowance` bytes on top of what the process holds."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:  # /proc is hidden: only the kernel's own limits remain
        yield
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + allowance
    if before[0] != resource.RLIM_INFINITY:
        limit = min(limit, before[0])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
