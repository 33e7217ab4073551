"""How many heaps glibc keeps for the threads of this process.

By default there are up to eight for each core, and each keeps what its threads once needed: the service grew with the
number of texts it had embedded. Two are enough for threads that mostly compute.
"""

import ctypes

HEAPS = 2
_M_ARENA_MAX = -8  # malloc.h


def keep_few_heaps() -> bool:
    """Call before threads are started; False where the C library has no such setting."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS))
    except AttributeError:  # musl has one heap anyway
        return False
