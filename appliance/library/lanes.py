"""Which reading thread takes which document: pure.

The first lane takes the document that has waited longest, so that none starves; the second the smallest, so that none
of the small ones waits for the large. When both are held up, the express lane reads small ones beside them: whatever
is being read, a small document begins as soon as the small ones before it are done.
"""

from collections.abc import Collection
from dataclasses import dataclass

from appliance.store.rows import Order

SMALL_BYTES = 1 << 20
LONG_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One thread's choice; `below` limits the size of what it takes, in bytes."""

    name: str
    order: Order
    below: int | None = None

    @property
    def is_express(self) -> bool:
        return self.below is not None


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document that a lane is reading, and since when (monotonic seconds)."""

    lane: Lane
    size: int
    since: float

    def up(self, now: float) -> bool:
        """Whether its lane will not be free soon."""
        return self.size >= SMALL_BYTES or now - self.since >= LONG_SECONDS


LANES = (Lane("oldest", "age"), Lane("smallest", "size"), Lane("express", "size", SMALL_BYTES))


def may_take(lane: Lane, held: Collection[HeldDocument], now: float) -> bool:
    """Whether the lane takes a document now: the express lane only if every other lane is held up."""
    if not lane.is_express:
        return True
    others = [one for one in held if not one.lane.is_express]
    return len(others) == sum(not one.is_express for one in LANES) and all(one.up(now) for one in others)
