"""The batches of tokens that llama.cpp decodes."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import llama_cpp as llama
import numpy as np


@dataclass(frozen=True, slots=True)
class BatchSpan:
    """Consecutive tokens of one sequence, the first at `position`. The logits after the last `wanted` of them are kept,
    so that the tokens that follow can be sampled.
    """

    tokens: Sequence[int]
    position: int
    sequence: int
    wanted: int


class Batch:
    """A llama_batch that is filled in place. Keeps the arrays alive that llama.cpp reads."""

    def __init__(self, size: int, sequences: int) -> None:
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._counts = np.ones(size, np.int32)
        self._wanted = np.zeros(size, np.int8)
        self._ids = np.arange(sequences, dtype=np.int32)
        self._first_id = int(self._ids.ctypes.data)
        self._pointers = np.zeros(size, np.uintp)  # each to an element of `_ids`
        self._order = np.arange(size, dtype=np.int32)
        self.raw = llama.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            embd=None,
            pos=self._positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            n_seq_id=self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._pointers.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, spans: Sequence[BatchSpan]) -> None:
        start = 0
        for span in spans:
            end = start + len(span.tokens)
            self._tokens[start:end] = span.tokens
            self._positions[start:end] = self._order[: end - start]
            self._positions[start:end] += span.position
            self._pointers[start:end] = self._first_id + span.sequence * self._ids.itemsize
            self._wanted[start : end - span.wanted] = 0
            self._wanted[end - span.wanted : end] = 1
            start = end
        self.raw.n_tokens = start
