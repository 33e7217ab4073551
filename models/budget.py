"""What has to happen before a model may be loaded. Pure.

Rules: memory is reserved before anything is loaded, so the sum of all holders never exceeds the budget. Victims are
models that nobody uses, least recently used first, never more than needed. What can never fit is refused at once; what
fits when others are done waits for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds memory now: `bytes` reserved or measured, whichever is more; `idle` if it may be unloaded at once."""

    id: str
    bytes: int
    idle: bool
    pinned: bool = False
    last_used: float = 0.0


@dataclass(frozen=True, slots=True)
class Proceed:
    """Unload these, then load; `victims` may be empty."""

    victims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Would fit once these are idle."""

    busy: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """Cannot fit, however long one waits: `room` is what the pinned models leave of the budget."""

    room: int
    pinned: tuple[str, ...]


Plan = Proceed | Wait | Never


def plan(budget: int, holders: Sequence[Holder], wanted: int) -> Plan:
    """How `wanted` bytes can be had from `budget` bytes."""
    pinned = [holder for holder in holders if holder.pinned]
    room = budget - sum(holder.bytes for holder in pinned)
    if wanted > room:
        return Never(room, tuple(holder.id for holder in pinned))
    missing = wanted - (budget - sum(holder.bytes for holder in holders))
    if missing <= 0:
        return Proceed()
    idle = sorted((holder for holder in holders if holder.idle and not holder.pinned), key=lambda one: one.last_used)
    if sum(holder.bytes for holder in idle) < missing:
        return Wait(tuple(holder.id for holder in holders if not holder.idle and not holder.pinned))
    return Proceed(_fewest(idle, missing))


def _fewest(idle: Sequence[Holder], missing: int) -> tuple[str, ...]:
    """The least recently used that free enough, without those that the later ones make needless."""
    chosen: list[Holder] = []
    for holder in idle:
        if sum(one.bytes for one in chosen) >= missing:
            break
        chosen.append(holder)
    for holder in reversed(chosen[:-1]):
        if sum(one.bytes for one in chosen) - holder.bytes >= missing:
            chosen.remove(holder)
    return tuple(holder.id for holder in chosen)
