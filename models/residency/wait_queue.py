"""The FIFO of requests that wait for memory. Only touched by the event loop's thread.

Rule: a ticket keeps its number while its request waits. It leaves the queue while its model is being loaded; when it
rejoins, it takes its old place. Only the first in the queue may take memory.
"""

import itertools
from bisect import insort
from dataclasses import dataclass, field

from models.memory.budget import HolderKey
from models.residency.resident import Resident

_numbers = itertools.count(1)


@dataclass(slots=True, order=True)
class Ticket:
    """One request's place in the queue. `devices` are the bytes it needs now on each."""

    number: int = field(default_factory=lambda: next(_numbers))
    model: str = field(default="", compare=False)
    devices: dict[str, int] = field(default_factory=dict, compare=False)
    protected: set[HolderKey] = field(default_factory=set, compare=False)  # holders that are not evicted for it
    joined: Resident | None = field(default=None, compare=False)  # the load it waits for
    logged: bool = field(default=False, compare=False)  # its wait is in the decision log


class WaitQueue:
    """Tickets in the order of their numbers."""

    def __init__(self) -> None:
        self._tickets: list[Ticket] = []

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def first(self) -> Ticket | None:
        return self._tickets[0] if self._tickets else None

    def join(self, ticket: Ticket) -> None:
        """Put it in the place of its number, unless it is queued already."""
        if ticket not in self._tickets:
            insort(self._tickets, ticket)

    def behind(self, ticket: Ticket) -> bool:
        """Whether it is queued and not the first."""
        return ticket in self._tickets and self._tickets[0] is not ticket

    def leave(self, ticket: Ticket) -> bool:
        """Take it out; False if it was not queued."""
        try:
            self._tickets.remove(ticket)
        except ValueError:
            return False
        return True
