"""How much memory glibc keeps for this process.

By default there are up to eight heaps for each core, and each keeps what its threads once needed: the service grew with
the number of texts it had embedded. Two are enough for threads that mostly compute, and what lies free in them between
pieces that are in use is given back now and then.
"""

import contextlib
import ctypes

HEAPS = 2
_M_ARENA_MAX = -8  # malloc.h


def give_back_freed() -> None:
    """Let the kernel have the free pages of all heaps; a few milliseconds."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_few_heaps() -> bool:
    """Call before threads are started; False where the C library has no such setting."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS))
    except AttributeError:  # musl has one heap anyway
        return False
