"""Locks a child process in before it looks at untrusted bytes, and reports what the kernel offers for that."""

import os

from ingest.sandbox import landlock, limits, seccomp


def capabilities() -> dict[str, int]:
    """What the kernel offers to lock the parser in: Landlock's version (0: none), seccomp (0 or 1)."""
    return {"landlock": landlock.abi(), "seccomp": int(seccomp.supported())}


def claim_stdout() -> int:
    """Reserve the message pipe for our own messages and return its new descriptor: library output goes to stderr.

    The parent reads stderr only at the end, so a full pipe must refuse further output rather than block.
    """
    os.set_blocking(2, False)
    output = os.dup(1)
    os.dup2(2, 1)
    return output


def lock_in(bounds: limits.Limits, output: int) -> dict[str, int]:
    """Give up every right except reading descriptor 0 and writing to 1, 2 and `output`.

    Returns what the kernel granted, in the form of `capabilities`.
    """
    limits.apply(bounds, os.fstat(0).st_size)
    return {
        "landlock": landlock.abi() if landlock.restrict() else 0,
        "seccomp": int(seccomp.restrict((1, 2, output))),
    }
