"""Counts which sequence holds which cells of the unified KV. Pure.

Rule: mirrors llama.cpp exactly. A decoded token takes one free cell, sharing takes none, and a cell is free again when
the last sequence that holds it releases it. Only the count of cells is llama.cpp's; their numbers are our own.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int32]


class KvCells:
    """The cells of one context; `free` of `total` are held by no sequence."""

    def __init__(self, total: int, sequences: int) -> None:
        self.total = self.free = total
        self._holders = np.zeros(total, np.int16)
        self._unused = np.arange(total, dtype=np.int32)  # valid up to `free`
        self._held = [np.empty(0, np.int32) for _ in range(sequences)]
        self._lengths = [0] * sequences

    def length(self, sequence: int) -> int:
        """The sequence's tokens that have a cell."""
        return self._lengths[sequence]

    def grow(self, sequence: int, count: int) -> None:
        """Gives cells to the sequence's next `count` tokens, which were decoded. As many must be free."""
        fresh = self._unused[self.free - count : self.free]
        self._append(sequence, fresh)
        self._holders[fresh] = 1
        self.free -= count

    def share(self, source: int, target: int, end: int) -> None:
        """Makes `target` hold the cells of `source` too, from the end of `target` up to position `end`."""
        shared = self._held[source][self._lengths[target] : end]
        self._append(target, shared)
        self._holders[shared] += 1

    def cut(self, sequence: int, length: int) -> None:
        """Releases everything after the sequence's first `length` tokens."""
        tail = self._held[sequence][length : self._lengths[sequence]]
        self._holders[tail] -= 1
        freed = tail[self._holders[tail] == 0]
        self._unused[self.free : self.free + len(freed)] = freed
        self.free += len(freed)
        self._lengths[sequence] = length

    def alone(self, sequence: int) -> int:
        """Counts the cells that only this sequence holds."""
        return int(np.count_nonzero(self._holders[self._cells(sequence)] == 1))

    def together(self, sequences: Iterable[int], also: tuple[int, int] | None = None) -> int:
        """Counts the cells that these hold, shared ones once. `also`: the first tokens of one more, (sequence, count)."""
        seen = np.zeros(self.total, np.bool_)
        for sequence in sequences:
            seen[self._cells(sequence)] = True
        if also:
            seen[self._held[also[0]][: also[1]]] = True
        return int(np.count_nonzero(seen))

    def _cells(self, sequence: int) -> Numbers:
        return self._held[sequence][: self._lengths[sequence]]

    def _append(self, sequence: int, numbers: Numbers) -> None:
        start = self._lengths[sequence]
        end = start + len(numbers)
        if end > len(self._held[sequence]):
            grown = np.empty(max(end, 2 * start, 256), np.int32)
            grown[:start] = self._held[sequence][:start]
            self._held[sequence] = grown
        self._held[sequence][start:end] = numbers
        self._lengths[sequence] = end
