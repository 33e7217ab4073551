"""How many CPUs this process may really use: the affinity mask and the CPU quotas of its cgroup and those above it.

Rule: thread counts come from here, because libraries count the machine's cores and are throttled under a quota.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def effective_cpus(
    cgroup_file: Path = Path("/proc/self/cgroup"),
    cgroup_root: Path = Path("/sys/fs/cgroup"),
    affinity: int | None = None,
) -> int:
    """CPUs usable at once, at least 1. A quota of 1.5 CPUs gives 2. Unreadable quotas count as none."""
    allowed = affinity if affinity is not None else len(os.sched_getaffinity(0))
    quotas = [math.ceil(quota) for quota in _quotas(cgroup_file, cgroup_root)]
    return max(1, min([allowed, *quotas]))


def _quotas(cgroup_file: Path, root: Path) -> Iterator[float]:
    """Every limit that applies, in CPUs."""
    for line in _read(cgroup_file).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            for folder in _upwards(root, path):
                yield from _quota(*(_read(folder / "cpu.max").split() or ["max", "0"])[:2])
        elif "cpu" in controllers.split(","):
            mount = next((m for m in (root / controllers, root / "cpu") if m.is_dir()), root / "cpu")
            for folder in _upwards(mount, path):
                yield from _quota(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The cgroup's folder and all above it up to the mount; inside a container only the mount may be visible."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:length])


def _quota(quota: str, period: str) -> Iterator[float]:
    """The CPUs that `quota` microseconds in each `period` amount to; nothing for "max", -1 or an unreadable value."""
    try:
        limit, length = int(quota), int(period)
    except ValueError:
        return
    if limit > 0 and length > 0:
        yield limit / length


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
