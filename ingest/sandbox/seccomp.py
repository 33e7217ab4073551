"""Allows only the system calls of a process that computes and writes to descriptors it already has (seccomp).

Every other call fails with EPERM instead of killing the process, so a library that only probes can continue. No new
file, socket, process or executable mapping can be created. Written for x86_64 and aarch64; elsewhere `restrict` returns
False. The program is classic BPF over `struct seccomp_data`: Documentation/userspace-api/seccomp_filter.rst.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_SECCOMP = 21
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARG0, _ARG2 = 0, 4, 16, 32

# Audit architecture, and the number of each call: only what a single process needs to compute, wait, free and exit.
_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
            "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "writev": 20, "sched_yield": 24,
            "mremap": 25, "madvise": 28, "getpid": 39, "exit": 60, "getrusage": 98, "sigaltstack": 131, "gettid": 186,
            "futex": 202, "restart_syscall": 219, "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231,
            "getrandom": 318, "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "close": 57, "lseek": 62, "read": 63, "write": 64, "writev": 66, "pread64": 67, "fstat": 80, "exit": 93,
            "exit_group": 94, "futex": 98, "clock_gettime": 113, "clock_nanosleep": 115, "restart_syscall": 128,
            "sched_yield": 124, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
            "getrusage": 165, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222,
            "mprotect": 226, "madvise": 233, "getrandom": 278, "rseq": 293,
        },
    ),
}  # fmt: skip
_WRITES = ("write", "writev")
_MAPPINGS = ("mmap", "mprotect")
_PROT_EXEC = 4
_X32_BIT = 0x40000000


def supported() -> bool:
    """Whether this kernel can filter system calls and this architecture is listed here."""
    libc = ctypes.CDLL(None, use_errno=True)
    return platform.machine() in _ARCHITECTURES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def restrict(writable: Iterable[int]) -> bool:
    """Refuse, for good, every system call but the allowed ones; writing works only on the descriptors `writable`.

    Returns False where it is not supported. Raises OSError if the kernel refuses.
    """
    if not supported():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program(*_ARCHITECTURES[platform.machine()], writable)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0)):
        if libc.prctl(*arguments) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
    return True


def _program(arch: int, calls: dict[str, int], writable: Iterable[int]) -> bytes:
    refuse = _statement(_RETURN, _ERRNO | errno.EPERM)
    allow = _statement(_RETURN, _ALLOW)
    parts = [
        _statement(_LOAD, _ARCH),
        _jump(_JUMP_EQ, arch, 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _NUMBER),
        _jump(_JUMP_GE, _X32_BIT, 0, 1),
        refuse,
    ]
    allowed_descriptors = [step for fd in writable for step in (_jump(_JUMP_EQ, fd, 0, 1), allow)]
    for name, number in calls.items():
        if name in _WRITES:
            body = [_statement(_LOAD, _ARG0), *allowed_descriptors, refuse]
        elif name in _MAPPINGS:
            body = [_statement(_LOAD, _ARG2), _jump(_JUMP_SET, _PROT_EXEC, 0, 1), refuse, allow]
        else:
            body = [allow]
        parts += [_jump(_JUMP_EQ, number, 0, len(body)), *body]
    return b"".join([*parts, refuse])


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
