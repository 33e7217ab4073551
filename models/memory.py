"""How much memory there is, and what a process uses of it and of the CPU."""

from pathlib import Path

import psutil

_SHARE = 0.8


def default_budget(cgroup_root: Path = Path("/sys/fs/cgroup"), cgroup_file: Path = Path("/proc/self/cgroup")) -> int:
    """80 % of the machine's memory or of the tightest limit of this process's cgroups, in bytes."""
    limits = [int(psutil.virtual_memory().total), *_limits(cgroup_root, cgroup_file)]
    return int(min(limits) * _SHARE)


def owned_bytes(pid: int) -> int | None:
    """Memory that would come back if the process ended; None if it cannot be read."""
    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except psutil.Error:
        return None


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


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
