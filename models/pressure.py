"""Memory pressure from outside the budget: when the kernel says that processes wait for memory, idle models leave early.

What is read: the pressure stall information (PSI) of the service's own cgroup, else of the machine, and how often the
cgroup was throttled at its `memory.high`. All of it may be absent, which is normal: then nothing is ever done.

Rules (hysteresis): memory is short from `_SOME` per cent of the time waited for it, or from any throttling, until less
than `_CALM` per cent; after each step the kernel's ten-second average gets time to show its effect. While a model is
being loaded the waiting is our own doing, and nothing is done.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from models.budget import Holder
from models.need import RAM
from models.roster import Roster

_SOME: Final = 20.0
_CALM: Final = 5.0
_STEP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Per cent of the last ten seconds in which some process waited for memory; how often we were throttled so far."""

    some: float
    throttled: int = 0


class Trimmer(Protocol):
    """What is needed to let models go."""

    async def evict(self, victims: "list[str]", why: str) -> None: ...


class Probe:
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

    def __call__(self) -> Reading | None:
        """None where the kernel tells nothing."""
        some = _some(self._pressure) if self._pressure else None
        return None if some is None else Reading(some, _throttled(self._events))


class Pressure:
    """Decides when to let something go."""

    def __init__(self, read: Callable[[], Reading | None]) -> None:
        self._read = read
        self._short = False
        self._throttled: int | None = None
        self._next = 0.0
        self.reading: Reading | None = None

    @property
    def short(self) -> bool:
        return self._short

    async def look(self, roster: Roster, trimmer: "Trimmer", *, loading: bool) -> None:
        """Read, and if memory is short and it is time, let go what is least missed."""
        found = self.reading = self._read()
        if found is None:
            return
        throttled = self._throttled is not None and found.throttled > self._throttled
        self._throttled = found.throttled
        if not self._short and not loading and (found.some >= _SOME or throttled):
            self._enter(roster, found)
        elif self._short and found.some < _CALM and not throttled:
            self._short = False
            roster.journal.note("pressure", "", "memory is no longer short")
        now = roster.clock()
        if self._short and not loading and now >= self._next:
            self._next = now + _STEP_S
            if (least := least_missed(roster.holders())) is not None:
                await trimmer.evict([least.id], "memory is short")

    def _enter(self, roster: Roster, found: Reading) -> None:
        self._short = True
        why = f"memory is short: processes waited for it {found.some:g} % of the last ten seconds"
        roster.journal.note("pressure", "", why)


def least_missed(holders: "list[Holder]") -> Holder | None:
    """What may leave and is in main memory: a cache or an adapter before any model."""
    found = [one for one in holders if one.idle and not one.pinned and one.devices.get(RAM, 0) > 0]
    return min(found, key=lambda one: (not one.part_of, one.loss), default=None)


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
