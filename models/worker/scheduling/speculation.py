"""Speculative decoding: drafts the next tokens of an answer that quotes its prompt. Pure.

Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"; llama.cpp's `lookup` example): where the last tokens occurred
before, the tokens that followed there are the draft. The model then checks the whole draft in one batch.

Rule: a draft is used only if the tokens it should gain are worth the extra cost of its batch. The chance that a draft
continues to be right is counted by how many tokens already agree, and learnt from every token, drafted or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

# Chosen by eye, except where a reason is given; docs/decisions.md has what drafts gain (`benchmarks.reader_drafts`).
_LONGEST: Final = 8  # agreeing tokens; more of them do not change the chance
_SHORTEST: Final = 2
_CHANCES: Final = (0.0, 0.0, 0.3, 0.5, 0.65, 0.8, 0.85, 0.9, 0.95)  # that one more agrees at first, by how many agree
_PRIOR: Final = 4.0  # tokens that these chances count for, against the ones learnt
_CANDIDATES: Final = 16  # earlier occurrences that are compared, the last ones
_CURVE: Final = ((1, 1.0), (2, 1.8), (4, 3.0), (8, 4.2), (16, 5.2), (32, 9.9), (128, 35.0))  # as found on a CPU
_FASTER, _SLOWER = 0.5, 0.1  # weights of a new measurement: only other work on the machine makes a batch slower
_RETRY: Final = 64  # refusals after which a measurement that ruled out a draft is checked again


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may come next. The last `agreeing` tokens of the text equal those before the place the draft is from."""

    tokens: Sequence[int]
    agreeing: int


class Lookup:
    """The tokens of one request, searched for earlier occurrences of their last ones."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = np.zeros(max(512, 2 * len(tokens)), np.int32)
        self._tokens[: len(tokens)] = tokens
        self._size = len(tokens)

    def append(self, token: int) -> None:
        if self._size == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
        self._tokens[self._size] = token
        self._size += 1

    def draft(self, most: int) -> Draft | None:
        """Returns up to `most` tokens from the occurrence that agrees longest, the last of several."""
        size, tokens = self._size, self._tokens
        if size <= _SHORTEST:
            return None
        ends = np.flatnonzero((tokens[1 : size - 1] == tokens[size - 1]) & (tokens[: size - 2] == tokens[size - 2])) + 2
        if not len(ends):
            return None
        agreeing, end = max((self._agreeing(int(at)), int(at)) for at in ends[-_CANDIDATES:])
        return Draft(tokens[end : min(end + most, size)].tolist(), agreeing)

    def _agreeing(self, end: int) -> int:
        """Counts the tokens before `end` that equal the last ones of the text, up to `_LONGEST`."""
        most = min(end, _LONGEST)
        same = self._tokens[end - most : end] == self._tokens[self._size - most : self._size]
        return most if same.all() else int(same[::-1].argmin())


class Acceptance:
    """The chance that one more token agrees, learnt for one request."""

    def __init__(self) -> None:
        self._hits = [chance * _PRIOR for chance in _CHANCES]
        self._tries = [_PRIOR] * len(_CHANCES)

    def learn(self, agreeing: int, hit: bool) -> None:
        """Counts whether one more token agreed after `agreeing` ones."""
        at = min(agreeing, _LONGEST)
        self._tries[at] += 1
        self._hits[at] += hit

    def expected(self, agreeing: int, count: int) -> float:
        """Returns the number of `count` drafted tokens expected to be right."""
        total, chance = 0.0, 1.0
        for more in range(count):
            at = min(agreeing + more, _LONGEST)
            chance *= self._hits[at] / self._tries[at]
            total += chance
        return total


class Costs:
    """The cost of a batch by its number of tokens: in seconds once measured, by `_CURVE` before."""

    def __init__(self) -> None:
        self._measured: dict[int, float] = {}
        self._refused = 0

    def learn(self, tokens: int, seconds: float) -> None:
        """Adds a measurement of one batch."""
        if seconds > 0:
            old = self.of(tokens) if self._measured else seconds
            self._measured[tokens] = old + (_FASTER if seconds < old else _SLOWER) * (seconds - old)

    def pays(self, tokens: int, sure: float, drafted: int, expected: float) -> bool:
        """Whether to add `drafted` tokens, `expected` of them right, to a batch of `tokens` that yields `sure` ones.

        A draft that only the measurements rule out is allowed once in a while, so that they are renewed.
        """
        gain = (sure + expected) / sure
        if gain > self.of(tokens + drafted) / self.of(tokens):
            return True
        if gain <= self._usual(tokens + drafted) / self._usual(tokens):
            return False
        self._refused = (self._refused + 1) % _RETRY
        return self._refused == 0

    def of(self, tokens: int) -> float:
        """Returns seconds; units of the curve until a batch was measured."""
        known = self._measured.get(tokens)
        return known if known is not None else self._usual(tokens) * self._unit()

    def _unit(self) -> float:
        """Seconds per unit of the curve."""
        if not self._measured:
            return 1.0
        least = min(self._measured)
        return self._measured[least] / self._usual(least)

    @staticmethod
    def _usual(tokens: int) -> float:
        return float(np.interp(tokens, [size for size, _ in _CURVE], [cost for _, cost in _CURVE]))
