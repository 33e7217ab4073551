"""Reads how much memory there is, and what a process uses of it and of the CPU.

Rule: reads only what /proc shows to every user, so it works for a child in its own user namespace. Where /proc is
hidden, the answer is None. A reading takes microseconds: `status` has counters, `smaps` would walk every page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from models.hardware.cgroups import CGROUP_FILE, CGROUP_ROOT, cgroups_with, read_text

RAM: Final = "ram"
_SHARE: Final = 0.8  # chosen by eye
_OWN: Final = ("RssAnon", "RssShmem", "VmSwap")


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes a process uses: `private` memory, `mapped` file pages (libraries too), and memory of each GPU.

    `private` is what its exit would free: anonymous and shared memory, swapped pages included.
    """

    private: int
    mapped: int = 0
    gpus: Mapping[str, int] = field(default_factory=dict)


def default_budget(cgroup_root: Path = CGROUP_ROOT, cgroup_file: Path = CGROUP_FILE) -> int:
    """80 % of the machine's memory or of the tightest limit of this process's cgroups, in bytes."""
    limits = [int(psutil.virtual_memory().total), *memory_limits(cgroup_file, cgroup_root)]
    return int(min(limits) * _SHARE)


def memory_limits(cgroup_file: Path = CGROUP_FILE, cgroup_root: Path = CGROUP_ROOT) -> Iterator[int]:
    """Memory limits in bytes of the cgroup and its parents."""
    for cgroup in cgroups_with("memory", cgroup_file, cgroup_root):
        name = "memory.max" if cgroup.version == 2 else "memory.limit_in_bytes"
        for folder in cgroup.folders:
            if (text := read_text(folder / name).strip()).isdigit():
                yield int(text)


def measure(pid: int, proc: Path = Path("/proc")) -> Measured | None:
    """The main memory a process uses now; None if it has exited or cannot be read.

    llama.cpp frees no buffer while a model is loaded, so this is also its peak, except for short-lived memory during
    loading.
    """
    sizes = _status(proc / str(pid) / "status")
    if "RssAnon" not in sizes:  # gone, hidden, or a zombie
        return None
    return Measured(private=sum(sizes.get(name, 0) for name in _OWN), mapped=sizes.get("RssFile", 0))


def cpu_seconds(pid: int) -> float:
    """CPU time the process has used; 0 if it cannot be read."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _status(file: Path) -> dict[str, int]:
    """The sizes in a process's status, in bytes."""
    fields = (line.split() for line in read_text(file).splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in fields if len(words) == 3 and words[2] == "kB"}
