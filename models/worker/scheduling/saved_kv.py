"""Keeps the KV of earlier prompts outside the cells, as llama.cpp wrote it.

Rule: never holds more bytes than the limit; removes the least recently used first.
"""

from collections.abc import Hashable

from models.worker.engine.engine import State
from models.worker.scheduling.prefix_index import Match, Prefix, Prefixes, Tokens


class SavedKv:
    """Saved KV by tokens and key. `held` bytes of at most `limit`."""

    def __init__(self, limit: int, *, whole: bool) -> None:
        self.limit = limit
        self.held = 0
        self._known: Prefixes[State] = Prefixes(whole=whole)

    def best(self, tokens: Tokens, key: Hashable) -> Match[State] | None:
        """Returns the state with the longest common beginning."""
        return self._known.best(tokens, key)

    def touch(self, entry: Prefix[State]) -> None:
        self._known.touch(entry)

    def add(self, tokens: Tokens, key: Hashable, state: State) -> None:
        """Keeps the state, unless it alone is larger than the limit."""
        if state.nbytes > self.limit:
            return
        replaced = self._known.add(tokens, key, state)
        if replaced is None:
            return
        self.held += state.nbytes - sum(old.nbytes for old in replaced)
        self.trim(self.limit)

    def remove(self, entry: Prefix[State]) -> None:
        self._known.remove(entry)
        self.held -= entry.place.nbytes

    def trim(self, limit: int) -> None:
        """Holds at most `limit` bytes now. Does not change the lasting limit."""
        for entry in self._known.oldest():
            if self.held <= limit:
                return
            self.remove(entry)
