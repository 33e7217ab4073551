"""Decides what has to be evicted or waited for before memory may be taken. Pure.

Rules: memory is reserved before anything is loaded, so the sum of all holders never exceeds a device's limit. What is
quickly restored (adapters, prompt caches) is evicted before any model. Among models the loss is weighed: the seconds
that reloading takes, divided by the seconds since the last use, because what was used long ago is unlikely to be needed
soon. The victims are the set with the smallest sum of losses that frees enough, and so never more than needed: the
exact one among up to `EXACT` candidates, a greedy one among more. What can never fit is refused at once; what fits once
others are idle waits for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

EXACT: Final = 10
_RECENT_S: Final = (
    10.0  # added to the idle time, or what was used just now would be worth infinitely more than a moment later
)

Devices = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HolderKey:
    """Names one holder of memory: a reservation, the `load`-th load of a model, or a `part` of that load.

    Loads count from 1 and no number is used twice; 0 is a reservation. A part is `cache` or the hash of an adapter.
    """

    model: str
    load: int = 0
    part: str = ""

    def __str__(self) -> str:
        return self.model + (f"@{self.load}" if self.load else "") + (f"/{self.part}" if self.part else "")

    @property
    def owner(self) -> "HolderKey":
        """The load that a part belongs to; of anything else, itself."""
        return replace(self, part="")


@dataclass(frozen=True, slots=True)
class Holder:
    """What holds memory now, in bytes by device: reserved or measured, whichever is more.

    `idle`: it may be evicted at once. `idle_s` is the time since its last use, `reload_s` the time to load it again.
    A part (an adapter or a prompt cache) is evicted together with its owner. `leaving`: its eviction has begun.
    """

    key: HolderKey
    devices: Devices
    idle: bool
    pinned: bool = False
    idle_s: float = 0.0
    reload_s: float = 1.0
    leaving: bool = False

    @property
    def loss(self) -> float:
        """The likely cost of evicting it: seconds to reload for each second of idleness."""
        return self.reload_s / (self.idle_s + _RECENT_S)


@dataclass(frozen=True, slots=True)
class Proceed:
    """Evict the victims, if any, then take the memory."""

    victims: tuple[HolderKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """It fits once these are idle and evicted."""

    busy: tuple[HolderKey, ...]


@dataclass(frozen=True, slots=True)
class Never:
    """It can never fit: `room` is what the pinned holders leave of each device's limit."""

    room: Devices
    pinned: tuple[HolderKey, ...]


Plan = Proceed | Wait | Never


def plan(limits: Devices, holders: Sequence[Holder], wanted: Devices) -> Plan:
    """How the `wanted` bytes of each device can be freed. A device without a limit has no memory."""
    stays = [one for one in holders if one.pinned and _touches(one, wanted)]
    room = {device: limits.get(device, 0) - _on(stays, device) for device in wanted}
    if any(size > room[device] for device, size in wanted.items()):
        return Never(room, tuple(one.key for one in stays))
    missing = {device: size + _on(holders, device) - limits.get(device, 0) for device, size in wanted.items()}
    missing = {device: size for device, size in missing.items() if size > 0}
    if not missing:
        return Proceed()
    movable = [one for one in holders if not one.pinned and _touches(one, missing)]
    if (chosen := _victims([one for one in movable if one.idle], missing)) is not None:
        return Proceed(tuple(one.key for one in chosen))
    busy = [one for one in _victims(movable, missing) or movable if not one.idle]
    return Wait(tuple(one.key for one in busy))


def _victims(candidates: Sequence[Holder], missing: Devices) -> list[Holder] | None:
    """What to evict: parts alone if they suffice, else the models with the least loss and the parts still needed.

    None if all candidates together do not free enough.
    """
    parts = [one for one in candidates if one.key.part]
    models = [one for one in candidates if not one.key.part]
    if (chosen := _cheapest(parts, missing)) is not None:
        return chosen
    leaving = _cheapest(models, _less(missing, parts))
    if leaving is None:
        return None
    gone = {one.key for one in leaving}
    with_them = [one for one in parts if one.key.owner in gone]
    left = [one for one in parts if one.key.owner not in gone]
    return [*(_cheapest(left, _less(missing, [*leaving, *with_them])) or []), *leaving]


def _cheapest(candidates: Sequence[Holder], missing: Devices) -> list[Holder] | None:
    """The set with the least loss that frees the missing bytes; None if there is none."""
    if not missing:
        return []
    useful = [one for one in candidates if _touches(one, missing)]
    if _less(missing, useful):
        return None
    return _exact(useful, missing) if len(useful) <= EXACT else _greedy(useful, missing)


def _exact(candidates: Sequence[Holder], missing: Devices) -> list[Holder]:
    """The best of all sets; of two with equal loss the one that frees less."""
    sets = (chosen for count in range(1, len(candidates) + 1) for chosen in combinations(candidates, count))
    enough = (chosen for chosen in sets if not _less(missing, chosen))
    return list(min(enough, key=lambda chosen: (sum(one.loss for one in chosen), _size(chosen))))


def _greedy(candidates: Sequence[Holder], missing: Devices) -> list[Holder]:
    """One after another by loss for each useful byte; then drops those that the others make needless."""
    chosen: list[Holder] = []
    left = [*candidates]
    while still := _less(missing, chosen):
        best = min(left, key=lambda one: one.loss / max(_useful(one, still), 1e-9))
        left.remove(best)
        chosen.append(best)
    for one in sorted(chosen, key=lambda one: one.loss, reverse=True):
        others = [other for other in chosen if other is not one]
        if not _less(missing, others):
            chosen = others
    return chosen


def _useful(one: Holder, missing: Devices) -> float:
    """The share of the missing bytes that it frees, summed over the devices."""
    return sum(min(one.devices.get(device, 0), size) / size for device, size in missing.items())


def _less(missing: Devices, gone: Iterable[Holder]) -> dict[str, int]:
    """The bytes still missing when these are evicted."""
    leaving = [*gone]
    rest = {device: size - _on(leaving, device) for device, size in missing.items()}
    return {device: size for device, size in rest.items() if size > 0}


def _on(holders: Iterable[Holder], device: str) -> int:
    return sum(one.devices.get(device, 0) for one in holders)


def _touches(one: Holder, devices: Devices) -> bool:
    return any(one.devices.get(device, 0) > 0 for device in devices)


def _size(holders: Iterable[Holder]) -> int:
    return sum(sum(one.devices.values()) for one in holders)
