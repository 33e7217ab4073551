"""The sequences of a context: which are running, which are kept as cached prefixes, and who has to make room.

Rules: the KV of an ended request stays in its cells as long as nobody needs them, sharing what is alike; then it moves
into `SavedKv`, as far as that limit allows; what was not used for longest goes first. Cells in use cost every step some
time, whosever they are, so beyond a few hundred of them kept KV moves as soon as another request begins, if `SavedKv` has
room. A running sequence is never touched. KV is found by tokens, adapters and scope together, see `prefixes`.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol

from models.worker.engine.engine import State
from models.worker.scheduling.kv_cells import KvCells
from models.worker.scheduling.prefix_index import Match, Prefix, Prefixes, Tokens, as_tokens
from models.worker.scheduling.saved_kv import SavedKv

AdapterSet = tuple[tuple[str, float], ...]
Maker = tuple[AdapterSet, str]
"""Adapters and scope that KV was made with: users have scopes of their own, lest one learn what another has asked."""
_WORTH_SAVING: Final = 32  # tokens; less is decoded again as fast
_WORTH_RESTORING: Final = 32
_KEPT_CELLS: Final = 256  # llama.cpp passes over cells of others in steps of as many


class Memory(Protocol):
    """What of an engine is needed. `rigid`: its memory cannot be cut or shared at any position."""

    cells: int
    sequences: int
    rigid: bool

    def share(self, source: int, target: int, start: int, end: int) -> None: ...
    def cut(self, sequence: int, length: int) -> bool: ...
    def forget(self, sequence: int) -> None: ...
    def save(self, sequence: int) -> State: ...
    def restore(self, sequence: int, state: State) -> bool: ...


def exact(maker: Maker) -> Hashable:
    """KV made with other adapters, the same at another scale, or for another scope, is other KV."""
    return maker


class Sequences:
    """Hands out sequences that begin with as much KV as is known."""

    def __init__(self, memory: Memory, cache_bytes: int, key: Callable[[Maker], Hashable] = exact) -> None:
        self._memory = memory
        self.key = key
        self.cells = KvCells(memory.cells, memory.sequences)
        self.states = SavedKv(cache_bytes, whole=memory.rigid)
        self._kept: Prefixes[int] = Prefixes(whole=memory.rigid)
        self._running: set[int] = set()
        self._free = list(range(memory.sequences))[::-1]
        self._token_bytes = 0.0  # of saved KV, as last seen
        for sequence in self._free:
            memory.forget(sequence)

    def cached(self, tokens: Tokens, maker: Maker) -> Match[int] | None:
        """The kept sequence that a prompt can begin with; its last token is always decoded anew."""
        return self._kept.best(tokens[:-1], self.key(maker))

    def demand(self, match: Match[int] | None = None) -> int:
        """Cells of the running sequences, and of what would be shared."""
        return self.cells.together(self._running, (match.prefix.place, match.length) if match else None)

    def open(self, tokens: Tokens, maker: Maker, ahead: int = 0) -> tuple[int, int]:
        """A sequence for these tokens, and how many of them it has already; `ahead` can soon be borrowed."""
        match = self.cached(tokens, maker)
        self._tidy(match)
        sequence = self._take(except_for=match)
        self._running.add(sequence)
        restored = self._restore(sequence, tokens, maker, max(ahead, match.length if match else 0))
        if restored:
            return sequence, restored
        match = self.cached(tokens, maker)  # again, as making room may have cost it
        if not match:
            return sequence, 0
        self._kept.touch(match.prefix)
        self.borrow(match.prefix.place, sequence, match.length)
        return sequence, match.length

    def borrow(self, source: int, target: int, end: int) -> None:
        """`target` goes on with what `source` has, up to its first `end` tokens."""
        self._memory.share(source, target, self.cells.length(target), end)
        self.cells.share(source, target, end)

    def cut(self, sequence: int, length: int) -> bool:
        """Only the first `length` tokens stay; False if that was impossible and nothing stayed."""
        if length == self.cells.length(sequence) or self._memory.cut(sequence, length):
            self.cells.cut(sequence, length)
            return True
        self._memory.forget(sequence)
        self.cells.cut(sequence, 0)
        return False

    def close(self, sequence: int, tokens: Sequence[int], maker: Maker) -> None:
        """The request has ended: keep the KV of these, the first of its tokens."""
        self._running.remove(sequence)
        known = as_tokens(tokens)
        if not self.cut(sequence, len(known)):
            known = known[:0]
        if self._memory.rigid:
            self._save(sequence, known, self.key(maker))
            self._forget(sequence)
            return
        replaced = self._kept.add(known, self.key(maker), sequence) if len(known) else None
        for useless in [sequence] if replaced is None else replaced:
            self._forget(useless)

    def reserve(self, count: int) -> bool:
        """Have `count` free cells, at the cost of what is kept; False if the running sequences leave less."""
        if self.cells.free >= count:
            return True
        for entry in self._kept.oldest():
            if self.cells.free >= count:
                break
            if self.cells.alone(entry.place):
                self._give_up(entry)
        return self.cells.free >= count

    def clear(self) -> bool:
        """Give up all that is kept; whether there was anything."""
        entries = list(self._kept.oldest())
        for entry in entries:
            self._give_up(entry)
        return bool(entries)

    # -- rooms of its own -----------------------------------------------------------------------------------------

    def _tidy(self, match: Match[int] | None) -> None:
        """Move what is kept but of no use to the next request out of the cells, as far as nothing is lost by it."""
        kept = self.cells.total - self.cells.free - self.demand(match)
        for entry in self._kept.oldest():
            if kept <= _KEPT_CELLS:
                return
            if (match and entry is match.prefix) or not self._has_room_outside(entry):
                continue
            kept -= self.cells.alone(entry.place)
            self._give_up(entry)

    def _has_room_outside(self, entry: Prefix[int]) -> bool:
        return self.states.held + self._token_bytes * len(entry.tokens) <= self.states.limit > 0

    def _take(self, except_for: Match[int] | None) -> int:
        """A sequence that is free; there are more than can run."""
        if not self._free:
            spared = except_for.prefix if except_for else None
            self._give_up(next(entry for entry in self._kept.oldest() if entry is not spared))
        return self._free.pop()

    def _restore(self, sequence: int, tokens: Tokens, maker: Maker, known: int) -> int:
        """How many of the tokens came out of a saved state, if that is clearly more than the `known` ones."""
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

    def _give_up(self, entry: Prefix[int]) -> None:
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
