"""How much memory there is, and what a process uses of it and of the CPU.

Rule: what is read of a process is what /proc tells anybody, so that it works for a child in a user namespace of its own;
where /proc is hidden, it is None. It costs microseconds: `status` has counters, `smaps` would walk every page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

_SHARE = 0.8
_OWN: Final = ("RssAnon", "RssShmem", "VmSwap")


RAM: Final = "ram"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a child really uses: its own memory, file pages it has mapped (libraries too), and memory of each GPU.

    `private` is what would come back if it ended: anonymous and shared memory, swapped pages included.
    """

    private: int
    mapped: int = 0
    gpus: Mapping[str, int] = field(default_factory=dict)


def default_budget(cgroup_root: Path = Path("/sys/fs/cgroup"), cgroup_file: Path = Path("/proc/self/cgroup")) -> int:
    """80 % of the machine's memory or of the tightest limit of this process's cgroups, in bytes."""
    limits = [int(psutil.virtual_memory().total), *_limits(cgroup_root, cgroup_file)]
    return int(min(limits) * _SHARE)


def measure(pid: int, proc: Path = Path("/proc")) -> Measured | None:
    """What a process uses of main memory now; None if it is gone or cannot be looked at.

    llama.cpp gives none of its buffers back while a model is loaded, so this is its peak too, but for what the loading
    itself took for a moment.
    """
    sizes = _status(proc / str(pid) / "status")
    if "RssAnon" not in sizes:  # gone, hidden, or a zombie
        return None
    return Measured(private=sum(sizes.get(name, 0) for name in _OWN), mapped=sizes.get("RssFile", 0))


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used; 0 if it cannot be read."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _limits(root: Path, file: Path) -> list[int]:
    """Memory limits in bytes of the cgroup and those above it, v2 and v1."""
    found: list[int] = []
    for line in _text(file).splitlines():
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if controllers not in ("", "memory"):
            continue
        mount, name = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
        parts = [part for part in path.split("/") if part and part != ".."]
        folders = [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]
        found += [int(text) for folder in folders if (text := _text(folder / name).strip()).isdigit()]
    return found


def _status(file: Path) -> dict[str, int]:
    """The sizes in a process's status, in bytes."""
    fields = (line.split() for line in _text(file).splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in fields if len(words) == 3 and words[2] == "kB"}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
