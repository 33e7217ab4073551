"""Who waits for memory, first come first served. Only touched by the event loop's thread.

Rule: a ticket keeps its number for as long as its caller waits, also while it is out of the line because its model is
being loaded; whoever comes back stands where they stood. Only the first in the line may take memory.
"""

import itertools
from bisect import insort
from dataclasses import dataclass, field

from models.memory.budget import HolderKey
from models.residency.resident import Resident

_numbers = itertools.count(1)


@dataclass(slots=True, order=True)
class Ticket:
    """One request's place. `devices` is what it wants now; `told` whether its waiting was noted."""

    number: int = field(default_factory=lambda: next(_numbers))
    model: str = field(default="", compare=False)
    devices: dict[str, int] = field(default_factory=dict, compare=False)
    protected: set[HolderKey] = field(default_factory=set, compare=False)  # holders that must not leave for it
    joined: Resident | None = field(default=None, compare=False)  # the load that it waits for
    told: bool = field(default=False, compare=False)


class WaitQueue:
    """The tickets that wait for memory."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def first(self) -> Ticket | None:
        return self._tickets[0] if self._tickets else None

    def stand(self, ticket: Ticket) -> None:
        """Be in the line, at the place of its number."""
        if ticket not in self._tickets:
            insort(self._tickets, ticket)

    def behind(self, ticket: Ticket) -> bool:
        """Whether it stands in the line with others before it."""
        return ticket in self._tickets and self._tickets[0] is not ticket

    def leave(self, ticket: Ticket) -> bool:
        """Whether it stood there."""
        try:
            self._tickets.remove(ticket)
        except ValueError:
            return False
        return True
