"""The sequences of a context: the running ones, the ones kept as cached prefixes, and which of those make room.

Rules: the KV of an ended request stays in its cells until they are needed, shared where prompts begin alike. Then it
moves to `SavedKv` as far as the limit allows, least recently used first. Every cell in use slows each step down, also for
other sequences; so beyond a few hundred, kept KV moves as soon as another request begins, if `SavedKv` has room. A
running sequence is never touched. KV is found by tokens, adapters and scope together, see `prefix_index`.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol

from models.worker.engine.engine import State
from models.worker.scheduling.kv_cells import KvCells
from models.worker.scheduling.prefix_index import Match, Prefix, Prefixes, Tokens, as_tokens
from models.worker.scheduling.saved_kv import SavedKv

AdapterSet = tuple[tuple[str, float], ...]
Maker = tuple[AdapterSet, str]
"""The adapters and the scope that KV was made with. Each user has a scope, so that none can learn what another asked."""
_WORTH_SAVING: Final = 32  # tokens; fewer are decoded again as fast
_WORTH_RESTORING: Final = 32  # tokens more than kept cells have of the prompt
_KEPT_CELLS: Final = 256  # llama.cpp skips cells of other sequences in steps of as many


class Memory(Protocol):
    """The part of an engine used here. `rigid`: its memory can be neither shared nor cut at an arbitrary position."""

    cells: int
    sequences: int
    rigid: bool

    def share(self, source: int, target: int, start: int, end: int) -> None: ...
    def cut(self, sequence: int, length: int) -> bool: ...
    def forget(self, sequence: int) -> None: ...
    def save(self, sequence: int) -> State: ...
    def restore(self, sequence: int, state: State) -> bool: ...


def exact(maker: Maker) -> Hashable:
    """The key of KV: equal adapters at equal scales, and the same scope."""
    return maker


class Sequences:
    """Opens sequences that begin with as much known KV as possible."""

    def __init__(self, memory: Memory, cache_bytes: int, key: Callable[[Maker], Hashable] = exact) -> None:
        self._memory = memory
        self.key = key
        self.cells = KvCells(memory.cells, memory.sequences)
        self.states = SavedKv(cache_bytes, whole=memory.rigid)
        self._kept: Prefixes[int] = Prefixes(whole=memory.rigid)
        self._running: set[int] = set()
        self._free = list(range(memory.sequences))[::-1]
        self._token_bytes = 0.0  # of the KV saved last, per token
        for sequence in self._free:
            memory.forget(sequence)

    def cached(self, tokens: Tokens, maker: Maker) -> Match[int] | None:
        """Returns the kept sequence that a prompt can begin with. The prompt's last token is always decoded again."""
        return self._kept.best(tokens[:-1], self.key(maker))

    def demand(self, match: Match[int] | None = None) -> int:
        """Counts the cells of the running sequences, and of the match that a new one would share."""
        return self.cells.together(self._running, (match.prefix.place, match.length) if match else None)

    def open(self, tokens: Tokens, maker: Maker, ahead: int = 0) -> tuple[int, int]:
        """Returns a sequence for these tokens and the number it already has; `ahead` can soon be borrowed."""
        match = self.cached(tokens, maker)
        self._tidy(match)
        sequence = self._take(except_for=match)
        self._running.add(sequence)
        restored = self._restore(sequence, tokens, maker, max(ahead, match.length if match else 0))
        if restored:
            return sequence, restored
        match = self.cached(tokens, maker)  # again, since making room may have removed it
        if not match:
            return sequence, 0
        self._kept.touch(match.prefix)
        self.borrow(match.prefix.place, sequence, match.length)
        return sequence, match.length

    def borrow(self, source: int, target: int, end: int) -> None:
        """Extends `target` by the cells of `source`, up to its first `end` tokens."""
        self._memory.share(source, target, self.cells.length(target), end)
        self.cells.share(source, target, end)

    def cut(self, sequence: int, length: int) -> bool:
        """Keeps only the first `length` tokens; False if that was impossible, and then nothing stays."""
        if length == self.cells.length(sequence) or self._memory.cut(sequence, length):
            self.cells.cut(sequence, length)
            return True
        self._memory.forget(sequence)
        self.cells.cut(sequence, 0)
        return False

    def close(self, sequence: int, tokens: Sequence[int], maker: Maker) -> None:
        """Ends a sequence and keeps the KV of `tokens`, the first ones it holds, as a prefix."""
        self._running.remove(sequence)
        known = as_tokens(tokens)
        if not self.cut(sequence, len(known)):
            known = known[:0]
        if self._memory.rigid:
            self._save(sequence, known, self.key(maker))
            self._forget(sequence)
            return
        replaced = self._kept.add(known, self.key(maker), sequence) if len(known) else None
        for redundant in [sequence] if replaced is None else replaced:
            self._forget(redundant)

    def reserve(self, count: int) -> bool:
        """Makes `count` cells free by evicting kept prefixes; False if the running sequences leave fewer."""
        if self.cells.free >= count:
            return True
        for entry in self._kept.oldest():
            if self.cells.free >= count:
                break
            if self.cells.alone(entry.place):
                self._evict(entry)
        return self.cells.free >= count

    def clear(self) -> bool:
        """Evicts all kept prefixes; False if there were none."""
        entries = list(self._kept.oldest())
        for entry in entries:
            self._evict(entry)
        return bool(entries)

    # -- making room ----------------------------------------------------------------------------------------------

    def _tidy(self, match: Match[int] | None) -> None:
        """Moves kept prefixes that the next request cannot use out of the cells, where `SavedKv` has room for them."""
        kept = self.cells.total - self.cells.free - self.demand(match)
        for entry in self._kept.oldest():
            if kept <= _KEPT_CELLS:
                return
            if (match and entry is match.prefix) or not self._can_save(entry):
                continue
            kept -= self.cells.alone(entry.place)
            self._evict(entry)

    def _can_save(self, entry: Prefix[int]) -> bool:
        return self.states.held + self._token_bytes * len(entry.tokens) <= self.states.limit > 0

    def _take(self, except_for: Match[int] | None) -> int:
        """Takes a free sequence, or evicts a kept one: there are more than can run."""
        if not self._free:
            spared = except_for.prefix if except_for else None
            self._evict(next(entry for entry in self._kept.oldest() if entry is not spared))
        return self._free.pop()

    def _restore(self, sequence: int, tokens: Tokens, maker: Maker, known: int) -> int:
        """Restores a saved state if it has clearly more of the tokens than `known`. Returns how many, or 0."""
        match = self.states.best(tokens[:-1], self.key(maker))
        if not match or match.length < known + _WORTH_RESTORING:
            return 0
        entry = match.prefix
        self.states.touch(entry)
        if not self.reserve(len(entry.tokens)):
            return 0
        if not self._memory.restore(sequence, entry.place):
            self._memory.forget(sequence)
            return 0
        self.cells.grow(sequence, len(entry.tokens))
        return match.length if self.cut(sequence, match.length) else 0

    def _evict(self, entry: Prefix[int]) -> None:
        self._kept.remove(entry)
        self._save(entry.place, entry.tokens, entry.key)
        self._forget(entry.place)

    def _save(self, sequence: int, tokens: Tokens, key: Hashable) -> None:
        if not self.states.limit or len(tokens) < _WORTH_SAVING:
            return
        match = self.states.best(tokens, key)
        if match and match.length == len(tokens):
            self.states.touch(match.prefix)
        else:
            state = self._memory.save(sequence)
            self._token_bytes = state.nbytes / len(tokens)
            self.states.add(tokens, key, state)

    def _forget(self, sequence: int) -> None:
        self._memory.forget(sequence)
        self.cells.cut(sequence, 0)
        self._free.append(sequence)
