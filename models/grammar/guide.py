"""One answer's way through a grammar, over a model's tokens. Pure.

As in llama.cpp, the likeliest token is tried first, and only if the grammar forbids it are others looked for, in the
order of their scores; those whose first byte cannot come next are left out by one table.
"""

import time
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.grammar.errors import GrammarError, GrammarTooComplex
from models.grammar.matcher import Matcher

NO_TOKEN: Final = -1
"""Ends the answer of a model that has no token for that."""
_AT_ONCE: Final = 64
_ENOUGH: Final = 1024  # tokens looked at once one was found: what comes behind them is never drawn
_MOST_SECONDS: Final = 10.0


class Tokens(Protocol):
    """What of a vocabulary is needed."""

    @property
    def ends(self) -> tuple[int, ...]: ...
    @property
    def first_bytes(self) -> NDArray[np.int16]: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...


class Guide:
    """Which tokens may come next."""

    def __init__(self, matcher: Matcher, tokens: Tokens) -> None:
        self._matcher = matcher
        self._tokens = tokens
        self._state = matcher.start
        self._spent = 0.0

    def best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        """The likeliest tokens that the grammar allows, at least one, at most so many.

        Raises GrammarError if this model has none, or if finding them has taken too long.
        """
        began = time.thread_time()
        try:
            return self._best(scores, most)
        finally:
            self._spent += time.thread_time() - began

    def accept(self, token: int) -> None:
        """The token was chosen. Raises GrammarError if it is not allowed."""
        if self._tokens.is_end(token):
            return
        state = self._matcher.after(self._state, self._tokens.piece(token))
        if state is None:
            raise GrammarError("a token that it forbids was chosen")
        self._state = state

    def _best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        if not self._state.open:
            return [self._tokens.ends[0] if self._tokens.ends else NO_TOKEN]
        if self._spent > _MOST_SECONDS:
            raise GrammarTooComplex(f"following it has taken more than {_MOST_SECONDS:g} s")
        likeliest = int(scores.argmax())
        if most == 1 and self._fits(likeliest):
            return [likeliest]
        found: list[int] = []
        for looked_at, token in enumerate(self._in_order(scores)):
            if self._fits(token):
                found.append(token)
            if len(found) >= most or (found and looked_at >= _ENOUGH):
                break
        if not found:
            if self._state.complete:
                return [NO_TOKEN]
            raise GrammarError("no token of this model can go on as it demands")
        return found

    def _in_order(self, scores: NDArray[np.float32]) -> Iterator[int]:
        """Tokens whose first byte may come next, and the ends, the likeliest first."""
        possible = np.zeros(257, np.bool_)
        possible[list(self._matcher.first_bytes(self._state))] = True
        candidates = np.flatnonzero(possible[self._tokens.first_bytes])  # -1 is the last place
        if self._state.complete:
            candidates = np.concatenate([candidates, np.array(self._tokens.ends, candidates.dtype)])
        weights = -scores[candidates]
        size = _AT_ONCE
        while len(candidates) > size:
            split = np.argpartition(weights, size)
            near, far = split[:size], split[size:]
            yield from candidates[near[np.argsort(weights[near], kind="stable")]].tolist()
            candidates, weights, size = candidates[far], weights[far], size * 4
        yield from candidates[np.argsort(weights, kind="stable")].tolist()

    def _fits(self, token: int) -> bool:
        if self._tokens.is_end(token):
            return self._state.complete
        piece = self._tokens.piece(token)
        return bool(piece) and self._matcher.after(self._state, piece) is not None
