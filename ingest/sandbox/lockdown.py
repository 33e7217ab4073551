"""How a child process locks itself in before it looks at foreign bytes, and what the kernel offers for that."""

import os

from ingest.sandbox import landlock, limits, seccomp


def capabilities() -> dict[str, int]:
    """What the kernel offers to lock the parser in: Landlock's version (0: none), seccomp (0 or 1)."""
    return {"landlock": landlock.abi(), "seccomp": int(seccomp.supported())}


def claim_stdout() -> int:
    """Keep the pipe for messages alone: whatever a library prints goes to stderr.

    Nobody drains stderr before the end, so a full pipe must refuse more rather than block.
    """
    os.set_blocking(2, False)
    output = os.dup(1)
    os.dup2(2, 1)
    return output


def lock_in(bounds: limits.Limits, output: int) -> dict[str, int]:
    """Give up every right but reading descriptor 0 and writing 1, 2 and `output`; what the kernel granted."""
    limits.apply(bounds, os.fstat(0).st_size)
    return {
        "landlock": landlock.abi() if landlock.restrict() else 0,
        "seccomp": int(seccomp.restrict((1, 2, output))),
    }
