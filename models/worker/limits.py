"""What a model's child process does to itself: its limits and its place in the kernel's order of victims.

Rule: called in the child only, from its main thread. Nothing here needs privileges.
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
_OOM_SCORE = 800
_MAX_FILES = 1024


class TimeIsUp(BaseException):
    """More CPU time than allowed. A BaseException, so that no `except Exception` on the way swallows it."""


def harden(parent_pid: int) -> None:
    """Die with the parent, be the kernel's first victim, leave no core file, gain no privileges."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(0)
    with contextlib.suppress(OSError):  # /proc may be hidden; then the service is as likely a victim as this process
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@contextlib.contextmanager
def cpu_time(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the block once the process has used so much CPU time. Only in the main thread.

    CPU time and not wall time, so that a busy machine does not make a harmless template fail.
    """
    over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not over:
            raise TimeIsUp

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.1)
        yield
    finally:
        over = True  # first: a signal that came in the lines below would keep them from being done
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def extra_memory(allowance: int) -> Iterator[None]:
    """In the block, allocations of more than `allowance` bytes on top of what is held raise MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:  # /proc is hidden: the kernel's own limits remain
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
