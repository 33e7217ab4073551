"""Decides which reading thread takes which document. Pure.

The first lane takes the document that has waited longest, so none starves; the second takes the smallest, so small
ones do not wait for large ones. While both are held up, the express lane reads small ones beside them. So whatever is
being read, a small document starts as soon as the small ones before it are done.
"""

from collections.abc import Collection
from dataclasses import dataclass

from appliance.store.rows import Order

# Chosen by eye. The size in bytes is all that is known before a file is opened.
SMALL_BYTES = 1 << 20
LONG_SECONDS = 10.0  # after this time a small document counts as large


@dataclass(frozen=True, slots=True)
class Lane:
    """The rule by which one thread chooses; it takes only documents smaller than `below` bytes."""

    name: str
    order: Order
    below: int | None = None

    @property
    def is_express(self) -> bool:
        return self.below is not None


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A document that a lane is reading; `size` in bytes, `since` in monotonic seconds."""

    lane: Lane
    size: int
    since: float

    def occupies(self, now: float) -> bool:
        """Whether its lane will not be free soon."""
        return self.size >= SMALL_BYTES or now - self.since >= LONG_SECONDS


LANES = (Lane("oldest", "age"), Lane("smallest", "size"), Lane("express", "size", SMALL_BYTES))


def may_take(lane: Lane, held: Collection[HeldDocument], now: float) -> bool:
    """Whether the lane takes a document now; the express lane does only while every other lane is held up."""
    if not lane.is_express:
        return True
    others = [one for one in held if not one.lane.is_express]
    return len(others) == sum(not one.is_express for one in LANES) and all(one.occupies(now) for one in others)
