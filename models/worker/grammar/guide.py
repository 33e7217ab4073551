"""One answer's way through a grammar, over a model's tokens. Pure.

As in llama.cpp, the likeliest token is tried first, and only if the grammar forbids it are others looked for, in the
order of their scores; those whose first byte cannot come next are left out by one table.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.matcher import Matcher

NO_TOKEN: Final = -1
"""Ends the answer of a model that has no token for that."""
_NEAR: Final = 1024  # the likeliest tokens; others are looked at only if the grammar forbids all of these
_MOST_SECONDS: Final = 10.0  # of an answer, and more for each of its tokens: a long one is not a mean one
_MORE_SECONDS: Final = 0.01


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

    def __init__(self, matcher: Matcher, tokens: Tokens, *, clock: Callable[[], float] = time.thread_time) -> None:
        """`clock` tells CPU seconds."""
        self._matcher = matcher
        self._tokens = tokens
        self._state = matcher.start
        self._clock = clock
        self._spent = 0.0
        self._made = 0

    def best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        """The likeliest tokens that the grammar allows, at least one, at most so many.

        Raises GrammarError if this model has none, or if finding them has taken too long.
        """
        began = self._clock()
        try:
            return self._best(scores, most)
        finally:
            self._spent += self._clock() - began

    def accept(self, token: int) -> None:
        """The token was chosen. Raises GrammarError if it is not allowed."""
        if self._tokens.is_end(token):
            return
        self._made += 1
        state = self._matcher.after(self._state, self._tokens.piece(token))
        if state is None:
            raise GrammarError("a token that it forbids was chosen")
        self._state = state

    def _best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        if not self._state.open:
            return [self._tokens.ends[0] if self._tokens.ends else NO_TOKEN]
        if self._spent > _MOST_SECONDS + _MORE_SECONDS * self._made:
            raise GrammarTooComplex(f"following it has taken {self._spent:.0f} s after {self._made} tokens")
        likeliest = int(scores.argmax())
        if most == 1 and self._fits(likeliest):
            return [likeliest]
        found: list[int] = []
        if len(scores) > _NEAR:
            near = np.argpartition(scores, -_NEAR)[-_NEAR:]
            found = self._fitting(self._possible(near), scores, most)
        found = found or self._fitting(self._possible(np.arange(len(scores))), scores, most)
        if not found:
            if self._state.complete:
                return [NO_TOKEN]
            raise GrammarError("no token of this model can go on as it demands")
        return found

    def _fitting(self, candidates: NDArray[np.int64], scores: NDArray[np.float32], most: int) -> list[int]:
        """The likeliest of the candidates that the grammar allows."""
        found: list[int] = []
        for token in candidates[np.argsort(-scores[candidates], kind="stable")].tolist():
            if self._fits(token):
                found.append(token)
                if len(found) == most:
                    break
        return found

    def _possible(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those whose first byte may come next, and the ends if the answer may end."""
        table = np.zeros(257, np.bool_)
        table[list(self._matcher.first_bytes(self._state))] = True
        possible = table[self._tokens.first_bytes[tokens]]  # -1 is the last place
        if self._state.complete:
            possible |= np.isin(tokens, self._tokens.ends)
        return tokens[possible]

    def _fits(self, token: int) -> bool:
        if self._tokens.is_end(token):
            return self._state.complete
        piece = self._tokens.piece(token)
        return bool(piece) and self._matcher.after(self._state, piece) is not None
