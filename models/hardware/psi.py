"""How short memory is, as the kernel tells: pressure stall information (PSI), and throttling at `memory.high`.

What is read are files of the service's own cgroup, else of the machine. All of them may be absent, which is normal.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PressureReading:
    """Per cent of the last ten seconds in which some process waited for memory; how often we were throttled so far."""

    some: float
    throttled: int = 0


class PressureProbe:
    """Reads the kernel's files."""

    def __init__(
        self,
        cgroup_root: Path = Path("/sys/fs/cgroup"),
        cgroup_file: Path = Path("/proc/self/cgroup"),
        machine: Path = Path("/proc/pressure/memory"),
    ) -> None:
        own = _own_folder(cgroup_root, cgroup_file)
        self._pressure = next((path for path in (own / "memory.pressure", machine) if _some(path) is not None), None)
        self._events = own / "memory.events"

    @property
    def source(self) -> Path | None:
        """The file that tells; None where the kernel tells nothing."""
        return self._pressure

    def __call__(self) -> PressureReading | None:
        """None where the kernel tells nothing."""
        some = _some(self._pressure) if self._pressure else None
        return None if some is None else PressureReading(some, _throttled(self._events))


def _own_folder(root: Path, file: Path) -> Path:
    """Of the service's cgroup, version 2; inside a container only the mount itself may be visible."""
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith("0::"):
                parts = [part for part in line[3:].split("/") if part]
                folder = root if ".." in parts else root.joinpath(*parts)
                return folder if folder.is_dir() else root
    return root


def _some(path: Path) -> float | None:
    """`some avg10=` of a PSI file."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith("some "):
                return float(dict(field.split("=") for field in line.split()[1:])["avg10"])
    return None


def _throttled(path: Path) -> int:
    """How often `memory.high` was exceeded, or `memory.max` made the kernel look for pages."""
    count = 0
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, number = line.partition(" ")
            count += int(number) if name == "high" else 0
    return count
