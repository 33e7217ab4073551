"""Reads how short memory is: the kernel's pressure stall information (PSI), and throttling at `memory.high`.

Reads the files of the service's own cgroup, else the machine's. All of them may be absent, which is normal.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from models.hardware.cgroups import CGROUP_FILE, CGROUP_ROOT, cgroups_with


@dataclass(frozen=True, slots=True)
class PressureReading:
    """One reading. `some`: per cent of the last 10 s in which some process waited for memory.

    `throttled`: times this cgroup has been throttled so far.
    """

    some: float
    throttled: int = 0


class PressureProbe:
    """Finds the pressure file once; each call takes a reading."""

    def __init__(
        self,
        cgroup_root: Path = CGROUP_ROOT,
        cgroup_file: Path = CGROUP_FILE,
        machine: Path = Path("/proc/pressure/memory"),
    ) -> None:
        own = _own_folder(cgroup_root, cgroup_file)
        self._pressure = next((path for path in (own / "memory.pressure", machine) if _some(path) is not None), None)
        self._events = own / "memory.events"

    @property
    def source(self) -> Path | None:
        """The pressure file; None where the kernel has none."""
        return self._pressure

    def __call__(self) -> PressureReading | None:
        """None where the kernel has no pressure file, or it cannot be read."""
        some = _some(self._pressure) if self._pressure else None
        return None if some is None else PressureReading(some, _throttled(self._events))


def _own_folder(root: Path, file: Path) -> Path:
    """The folder of this process's version 2 cgroup; the mount where only that is visible."""
    own = next((cgroup.folders[0] for cgroup in cgroups_with("memory", file, root) if cgroup.version == 2), root)
    return own if own.is_dir() else root


def _some(path: Path) -> float | None:
    """`some avg10=` of a PSI file, in per cent; None if it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith("some "):
                return float(dict(field.split("=") for field in line.split()[1:])["avg10"])
    return None


def _throttled(path: Path) -> int:
    """Times that `memory.high` was exceeded, the field `high` of memory.events."""
    count = 0
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, number = line.partition(" ")
            count += int(number) if name == "high" else 0
    return count
