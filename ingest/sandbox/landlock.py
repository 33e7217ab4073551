"""Takes this process's access to the file system and the network away for good (Landlock).

After `restrict()` it can open nothing in the file system, and connect or bind nothing. Reading the document needs no
right, because its descriptor is already open. `restrict(readable)` still allows reading single files, for callers that
need one. The kernel's interface: Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import struct
from collections.abc import Iterable

# System call numbers, the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_ACCESS_READ_FILE = 1 << 2
_PR_SET_NO_NEW_PRIVS = 38

# Number of file access rights in each version of the interface; requesting an unknown one is an error.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_RIGHTS = 0b11
_SCOPES = 0b11


def abi() -> int:
    """The kernel's Landlock version; 0 if it has none or it is switched off."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def restrict(readable: Iterable[int] = ()) -> bool:
    """Give up the file system and TCP for good, except for reading the files behind the descriptors `readable`.

    Returns False where the kernel lacks Landlock. Raises OSError if it has Landlock and refuses.
    """
    version = abi()
    if version == 0:
        return False
    libc = _libc()
    attributes = _ruleset(version)
    ruleset = _checked(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for descriptor in readable:
            rule = struct.pack("=Qi", _ACCESS_READ_FILE, descriptor)
            _checked(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _ruleset(version: int) -> bytes:
    files = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("=Q", files)
    if version >= 4:
        attributes += struct.pack("=Q", _NETWORK_RIGHTS)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    return attributes


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
