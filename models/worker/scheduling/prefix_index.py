"""Finds the KV of an earlier prompt that begins like a new one. Pure.

Rule: KV depends on every token before it and on the adapters that were applied, so both are compared: the tokens, and
a key (each adapter's content hash and scale, and the user's scope). Nothing else about a request may matter.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Place = TypeVar("Place")
Tokens = NDArray[np.int32]


def as_tokens(tokens: Sequence[int]) -> Tokens:
    """Returns the tokens as an array, which is fast to compare."""
    return np.array(tokens, np.int32)


def common(one: Tokens, other: Tokens) -> int:
    """Returns the length of the common prefix, in tokens."""
    size = min(len(one), len(other))
    differ = one[:size] != other[:size]
    first = int(differ.argmax()) if size else 0
    return first if size and differ[first] else size


@dataclass(eq=False, slots=True)
class Prefix(Generic[Place]):
    """Tokens whose KV is in `place`. `used` is the tick of the last use."""

    tokens: Tokens
    key: Hashable
    place: Place
    used: int = 0


@dataclass(frozen=True, slots=True)
class Match(Generic[Place]):
    """A prefix whose first `length` tokens are also the first of the tokens searched for."""

    prefix: Prefix[Place]
    length: int


class Prefixes(Generic[Place]):
    """Known prefixes, compared one by one: there are dozens, and comparing two takes microseconds.

    `whole`: the KV cannot be cut, so a prefix matches only a text that begins with all of it.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._entries: list[Prefix[Place]] = []
        self._tick = 0

    def __len__(self) -> int:
        return len(self._entries)

    def best(self, tokens: Tokens, key: Hashable) -> Match[Place] | None:
        """Returns the prefix with the longest common beginning, at least one token. Does not count as a use."""
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
        """Marks the prefix as the last used."""
        self._tick += 1
        entry.used = self._tick

    def add(self, tokens: Tokens, key: Hashable, place: Place) -> list[Place] | None:
        """Adds a prefix and returns the places of the ones it replaces; None if an equal or longer one is known."""
        covering = next((entry for entry in self._alike(tokens, key) if len(entry.tokens) >= len(tokens)), None)
        if covering:
            self.touch(covering)
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
        """All prefixes, least recently used first."""
        return iter(sorted(self._entries, key=lambda entry: entry.used))

    def _alike(self, tokens: Tokens, key: Hashable) -> Iterator[Prefix[Place]]:
        """Prefixes that begin with these tokens or that these tokens begin with; with `whole` only equal ones."""
        for entry in self._entries:
            if entry.key != key:
                continue
            shared = common(entry.tokens, tokens)
            if shared == len(entry.tokens) == len(tokens) or (
                not self._whole and shared == min(len(entry.tokens), len(tokens))
            ):
                yield entry
