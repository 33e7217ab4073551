"""KV of earlier prompts outside the cells, as llama.cpp wrote it, within a limit of bytes.

Rule: never more than the limit; what was not used for longest goes first.
"""

from collections.abc import Hashable

from models.worker.engine.engine import State
from models.worker.scheduling.prefix_index import Match, Prefix, Prefixes, Tokens


class SavedKv:
    """Saved KV by tokens and adapters; `held` bytes of at most `limit`."""

    def __init__(self, limit: int, *, whole: bool) -> None:
        self.limit = limit
        self.held = 0
        self._known: Prefixes[State] = Prefixes(whole=whole)

    def best(self, tokens: Tokens, key: Hashable) -> Match[State] | None:
        """The state that shares the most of the first tokens."""
        return self._known.best(tokens, key)

    def touch(self, entry: Prefix[State]) -> None:
        self._known.touch(entry)

    def add(self, tokens: Tokens, key: Hashable, state: State) -> None:
        """Keep it, if it fits at all."""
        if state.nbytes > self.limit:
            return
        replaced = self._known.add(tokens, key, state)
        if replaced is None:
            return
        self.held += state.nbytes - sum(gone.nbytes for gone in replaced)
        self.trim(self.limit)

    def remove(self, entry: Prefix[State]) -> None:
        self._known.remove(entry)
        self.held -= entry.place.nbytes

    def trim(self, limit: int) -> None:
        """Hold at most `limit` bytes now; the lasting limit stays."""
        for entry in self._known.oldest():
            if self.held <= limit:
                return
            self.remove(entry)
