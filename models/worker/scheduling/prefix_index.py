"""Which beginnings of texts have their KV at hand, and where. Pure.

Rule: KV depends on every token before it and on the adapters that were applied, so it is found by both: the tokens
and a key made of each adapter's content hash and scale. Nothing else about a request may matter.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Place = TypeVar("Place")
Tokens = NDArray[np.int32]


def as_tokens(tokens: Sequence[int]) -> Tokens:
    """The same tokens, quick to compare."""
    return np.array(tokens, np.int32)


def common(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    size = min(len(one), len(other))
    differ = one[:size] != other[:size]
    first = int(differ.argmax()) if size else 0
    return first if size and differ[first] else size


@dataclass(eq=False, slots=True)
class Prefix(Generic[Place]):
    """Tokens whose KV lies in `place`."""

    tokens: Tokens
    key: Hashable
    place: Place
    used: int = 0


@dataclass(frozen=True, slots=True)
class Match(Generic[Place]):
    """A prefix of which the first `length` tokens are those looked for."""

    prefix: Prefix[Place]
    length: int


class Prefixes(Generic[Place]):
    """Known prefixes, compared one by one: there are dozens, and comparing two takes microseconds.

    `whole`: KV that cannot be cut is of use only to a text that goes on from its very end.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._entries: list[Prefix[Place]] = []
        self._tick = 0

    def __len__(self) -> int:
        return len(self._entries)

    def best(self, tokens: Tokens, key: Hashable) -> Match[Place] | None:
        """The prefix that shares the most of the first tokens, at least one; touches nothing."""
        found: Match[Place] | None = None
        for entry in self._entries:
            if entry.key != key or (found and len(entry.tokens) <= found.length):
                continue
            length = common(entry.tokens, tokens)
            if self._whole and length < len(entry.tokens):
                continue
            if length > (found.length if found else 0):
                found = Match(entry, length)
        return found

    def touch(self, entry: Prefix[Place]) -> None:
        """It was of use just now."""
        self._tick += 1
        entry.used = self._tick

    def add(self, tokens: Tokens, key: Hashable, place: Place) -> list[Place] | None:
        """Keep it: the places of the shorter ones that it replaces; None if one that is as long was there already."""
        twin = next((entry for entry in self._alike(tokens, key) if len(entry.tokens) >= len(tokens)), None)
        if twin:
            self.touch(twin)
            return None
        replaced = list(self._alike(tokens, key))
        self._entries = [entry for entry in self._entries if entry not in replaced]
        entry = Prefix(tokens, key, place)
        self._entries.append(entry)
        self.touch(entry)
        return [entry.place for entry in replaced]

    def remove(self, entry: Prefix[Place]) -> None:
        self._entries.remove(entry)

    def oldest(self) -> Iterator[Prefix[Place]]:
        """All of them, the one first that was not used for longest."""
        return iter(sorted(self._entries, key=lambda entry: entry.used))

    def _alike(self, tokens: Tokens, key: Hashable) -> Iterator[Prefix[Place]]:
        """Those that say nothing which the other does not: one begins with the other, or they are the same."""
        for entry in self._entries:
            if entry.key != key:
                continue
            shared = common(entry.tokens, tokens)
            if shared == len(entry.tokens) == len(tokens) or (
                not self._whole and shared == min(len(entry.tokens), len(tokens))
            ):
                yield entry
