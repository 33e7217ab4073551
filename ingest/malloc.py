"""Limits how much freed memory glibc keeps for this process.

By default glibc creates up to eight heaps for each core, and each keeps what its threads once needed: the service grew
with the number of texts it had embedded. Two heaps are enough for threads that mostly compute. `give_back_freed`
returns to the kernel what lies free between blocks in use.
"""

import contextlib
import ctypes

HEAPS = 2
"""Measured on a service that embeds: see "Two heaps" in docs/decisions.md."""
_M_ARENA_MAX = -8  # malloc.h


def give_back_freed() -> None:
    """Return the free pages of all heaps to the kernel; takes a few milliseconds."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_few_heaps() -> bool:
    """Limit this process to HEAPS heaps; call it before any thread starts.

    Returns False where the C library has no such setting.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS))
    except AttributeError:  # musl has one heap anyway
        return False
