"""A snapshot of what holds memory, and what can be obtained of it. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from models.memory.budget import Devices, Holder, HolderKey, Plan, Proceed, Wait, plan


@dataclass(frozen=True, slots=True)
class Ledger:
    """All holders of memory, and the limit of each device in bytes."""

    limits: Devices
    holders: tuple[Holder, ...]

    def plan(self, wanted: Devices, protected: Collection[HolderKey] = ()) -> Plan:
        """How the `wanted` bytes of each device can be obtained. Treats `protected` as pinned.

        Waits for what is being evicted already before anything else is evicted.
        """
        holders = [replace(one, pinned=True) if one.key in protected else one for one in self.holders]
        decision = plan(self.limits, [one for one in holders if not one.leaving], wanted)
        if decision == Proceed() and plan(self.limits, holders, wanted) != decision:
            return Wait(tuple(one.key for one in holders if one.leaving))
        return decision

    def used(self) -> dict[str, int]:
        """Bytes held on each device."""
        sums = dict.fromkeys(self.limits, 0)
        for holder in self.holders:
            for device, size in holder.devices.items():
                sums[device] = sums.get(device, 0) + size
        return sums

    def obtainable(self) -> dict[str, int]:
        """Bytes of each device obtainable without waiting: its limit less what is pinned or in use."""
        room = dict(self.limits)
        for holder in self.holders:
            if holder.pinned or not holder.idle:
                for device, size in holder.devices.items():
                    room[device] = room.get(device, 0) - size
        return {device: max(0, size) for device, size in room.items()}
