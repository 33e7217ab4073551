"""Puts this process into a control group with a memory limit, as `MemoryMax=` does under systemd.

Needs root, and a memory controller (version 1 or 2) that allows new groups.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """A memory control group."""

    folder: Path

    @property
    def kills(self) -> int:
        """Number of processes in it that the kernel killed for lack of memory."""
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                fields = dict(line.split() for line in (self.folder / name).read_text().splitlines())
                return int(fields["oom_kill"])
        return 0

    @property
    def peak(self) -> int:
        """Most bytes charged to it at a time, page cache included."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            with contextlib.suppress(OSError):
                return int((self.folder / name).read_text())
        return 0


def unlimited_because() -> str:
    """The reason why no group can be made here; empty if one can."""
    try:
        with limited(1 << 40, enter=False):
            return ""
    except OSError as error:
        return f"no control group can be made: {error}"


@contextlib.contextmanager
def limited(size: int, *, enter: bool = True) -> Iterator[Group]:
    """Limits this process and its future children to `size` bytes together, page cache included, without swap.

    Raises:
        OSError: no group can be made.
    """
    parent, limits = _own()
    folder = parent / f"docent-limited-{os.getpid()}"
    folder.mkdir()
    try:
        for name, value in limits:
            with contextlib.suppress(FileNotFoundError):  # the swap limits may be missing
                (folder / name).write_text(str(size) if value is None else value)
        if enter:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        yield Group(folder)
    finally:
        if enter:
            (parent / "cgroup.procs").write_text(str(os.getpid()))
        folder.rmdir()


def _own() -> tuple[Path, list[tuple[str, str | None]]]:
    """The group of this process, and the (file, value) pairs that set a limit; None stands for the limit in bytes."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            files = [("memory.limit_in_bytes", None), ("memory.memsw.limit_in_bytes", None)]
            return _ROOT / "memory" / path.lstrip("/"), files
        if not controllers and (_ROOT / path.lstrip("/") / "memory.max").exists():
            return _ROOT / path.lstrip("/"), [("memory.max", None), ("memory.swap.max", "0")]
    raise FileNotFoundError(2, "there is no memory controller", str(_ROOT))
