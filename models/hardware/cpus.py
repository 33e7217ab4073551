"""Counts the CPUs this process can use: its affinity mask and the CPU quotas of its cgroup and the parents.

Rule: thread counts come from here, because libraries count the machine's cores and are throttled under a quota.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from models.hardware.cgroups import CGROUP_FILE, CGROUP_ROOT, cgroups_with, read_text


def effective_cpus(
    cgroup_file: Path = CGROUP_FILE,
    cgroup_root: Path = CGROUP_ROOT,
    affinity: int | None = None,
) -> int:
    """CPUs usable at once, at least 1. A quota of 1.5 CPUs gives 2. Unreadable quotas count as none."""
    allowed = affinity if affinity is not None else len(os.sched_getaffinity(0))
    quotas = [math.ceil(quota) for quota in _quotas(cgroup_file, cgroup_root)]
    return max(1, min([allowed, *quotas]))


def _quotas(cgroup_file: Path, root: Path) -> Iterator[float]:
    """Every limit that applies, in CPUs."""
    for cgroup in cgroups_with("cpu", cgroup_file, root):
        for folder in cgroup.folders:
            if cgroup.version == 2:
                yield from _quota(*(read_text(folder / "cpu.max").split() or ["max", "0"])[:2])
            else:
                yield from _quota(read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us"))


def _quota(quota: str, period: str) -> Iterator[float]:
    """The CPUs that `quota` microseconds in each `period` amount to; nothing for "max", -1 or an unreadable value."""
    try:
        limit, length = int(quota), int(period)
    except ValueError:
        return
    if limit > 0 and length > 0:
        yield limit / length
