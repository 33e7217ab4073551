"""Evicts idle models early when the kernel reports memory pressure, which other programs may cause.

Where the kernel reports none (see `hardware.psi`), nothing is evicted.

Rules (hysteresis): memory is short from `_SOME` per cent of the time waited for it, or from any throttling, until less
than `_CALM` per cent. After each eviction the kernel's ten-second average gets time to show the effect. A load causes
pressure itself, so nothing is evicted during one.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from models.hardware.psi import PressureReading
from models.hardware.ram import RAM
from models.memory.budget import Holder, HolderKey
from models.residency.state import ResidencyState

# Per cent of time; chosen by eye (docs/decisions.md).
_SOME: Final = 20.0
_CALM: Final = 5.0
_STEP_S: Final = 10.0  # the kernel's average is over ten seconds


class Evicts(Protocol):
    """The part of `Evictor` used here."""

    async def evict(self, victims: list[HolderKey], why: str) -> None: ...


class PressureRelief:
    """Decides when to evict something because memory is short."""

    def __init__(self, read: Callable[[], PressureReading | None]) -> None:
        self._read = read
        self._short = False
        self._throttled: int | None = None
        self._next = 0.0
        self.reading: PressureReading | None = None

    @property
    def short(self) -> bool:
        return self._short

    async def check(self, residency: ResidencyState, evictor: Evicts, *, loading: bool) -> None:
        """Read the pressure; if memory is short and the last step has had its time, evict what is least missed."""
        found = self.reading = self._read()
        if found is None:
            return
        throttled = self._throttled is not None and found.throttled > self._throttled
        self._throttled = found.throttled
        if not self._short and not loading and (found.some >= _SOME or throttled):
            self._enter(residency, found)
        elif self._short and found.some < _CALM and not throttled:
            self._short = False
            residency.decisions.note("pressure", "", "memory is no longer short")
        now = residency.clock()
        if self._short and not loading and now >= self._next:
            self._next = now + _STEP_S
            if (least := least_missed(residency.ledger().holders)) is not None:
                await evictor.evict([least.key], "memory is short")

    def _enter(self, residency: ResidencyState, found: PressureReading) -> None:
        self._short = True
        why = f"memory is short: processes waited for it {found.some:g} % of the last ten seconds"
        residency.decisions.note("pressure", "", why)


def least_missed(holders: Iterable[Holder]) -> Holder | None:
    """What may be evicted from main memory with the least loss: a cache or an adapter before any model."""
    found = [one for one in holders if one.idle and not one.pinned and one.devices.get(RAM, 0) > 0]
    return min(found, key=lambda one: (not one.key.part, one.loss), default=None)
