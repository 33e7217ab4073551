"""A control group with a memory limit around this process, made by hand: what `MemoryMax=` is where systemd runs it.

Needs root, and a memory controller (version 1 or 2) in which groups may be made.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """A control group; `kills` counts the processes that the kernel killed for memory in it."""

    folder: Path

    @property
    def kills(self) -> int:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                fields = dict(line.split() for line in (self.folder / name).read_text().splitlines())
                return int(fields["oom_kill"])
        return 0

    @property
    def peak(self) -> int:
        """Most bytes that were charged to it, page cache included."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            with contextlib.suppress(OSError):
                return int((self.folder / name).read_text())
        return 0


def unlimited_because() -> str:
    """Why no group can be made here; empty if one can."""
    try:
        with limited(1 << 40, enter=False):
            return ""
    except OSError as error:
        return f"no control group can be made: {error}"


@contextlib.contextmanager
def limited(size: int, *, enter: bool = True) -> Iterator[Group]:
    """This process and its future children may use `size` bytes together, page cache included; no swap. Raises OSError."""
    parent, limits = _own()
    folder = parent / f"docent-limited-{os.getpid()}"
    folder.mkdir()
    try:
        for name, value in limits:
            with contextlib.suppress(FileNotFoundError):  # of the swap limits there may be none
                (folder / name).write_text(str(size) if value is None else value)
        if enter:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        yield Group(folder)
    finally:
        if enter:
            (parent / "cgroup.procs").write_text(str(os.getpid()))
        folder.rmdir()


def _own() -> tuple[Path, list[tuple[str, str | None]]]:
    """The group this process is in, and the files that set a limit; None stands for the limit."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            files = [("memory.limit_in_bytes", None), ("memory.memsw.limit_in_bytes", None)]
            return _ROOT / "memory" / path.lstrip("/"), files
        if not controllers and (_ROOT / path.lstrip("/") / "memory.max").exists():
            return _ROOT / path.lstrip("/"), [("memory.max", None), ("memory.swap.max", "0")]
    raise FileNotFoundError(2, "there is no memory controller", str(_ROOT))
