"""Makes file permissions bind root too, so that tests of them work for every user.

Capabilities belong to a thread, and the threads and processes that it starts inherit them. Without CAP_DAC_OVERRIDE and
CAP_DAC_READ_SEARCH in the effective set, the kernel checks file modes again. capset(2), version 3.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _call(function: str, sets: "ctypes.Array[_Sets]") -> None:
    if getattr(_LIBC, function)(ctypes.byref(_Header(_VERSION_3, 0)), sets):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def modes_count() -> Iterator[None]:
    """While the block runs, file modes bind this thread and the threads it starts, even as root."""
    sets = (_Sets * 2)()
    _call("capget", sets)
    before = sets[0].effective
    sets[0].effective = before & ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    _call("capset", sets)
    try:
        yield
    finally:
        sets[0].effective = before
        _call("capset", sets)
