"""A batch of tokens for llama.cpp."""

import ctypes
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import llama_cpp as llama


@dataclass(frozen=True, slots=True)
class Entry:
    """One token to decode: where it stands in which sequence, and whether the next token is wanted after it."""

    token: int
    position: int
    sequence: int
    wanted: bool


class Batch:
    """A llama_batch that is filled in place. Keeps the arrays alive as long as llama.cpp may read them."""

    def __init__(self, size: int, sequences: int) -> None:
        self._tokens = (llama.llama_token * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*itertools.repeat(1, size))
        self._wanted = (ctypes.c_int8 * size)()
        self._ids = [(ctypes.c_int32 * 1)(sequence) for sequence in range(sequences)]
        self._id_pointers = [ctypes.cast(one, ctypes.POINTER(ctypes.c_int32)) for one in self._ids]
        self._sequences = (ctypes.POINTER(ctypes.c_int32) * size)()
        self.raw = llama.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=self._sequences,
            logits=self._wanted,
        )

    def fill(self, entries: Sequence[Entry]) -> None:
        for at, entry in enumerate(entries):
            self._tokens[at] = entry.token
            self._positions[at] = entry.position
            self._sequences[at] = self._id_pointers[entry.sequence]
            self._wanted[at] = entry.wanted
        self.raw.n_tokens = len(entries)
