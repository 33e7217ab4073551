"""Follows a grammar through one answer, over a model's tokens. Pure.

As in llama.cpp, tries the likeliest token first, and others only if the grammar forbids it, in the order of their scores.
One table excludes the tokens whose first byte cannot come next.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.matcher import Matcher

NO_TOKEN: Final = -1
"""Ends the answer of a model that has no end token."""
_NEAR: Final = 1024  # the likeliest tokens; others are tried only if the grammar forbids all of these
# CPU time for an answer, plus some for each of its tokens: a long valid JSON on a slow machine exceeded a flat 10 s.
_MOST_SECONDS: Final = 10.0
_MORE_SECONDS: Final = 0.01


class Tokens(Protocol):
    """The part of a vocabulary used here."""

    @property
    def ends(self) -> tuple[int, ...]: ...
    @property
    def first_bytes(self) -> NDArray[np.int16]: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...


class Guide:
    """Finds the tokens that may come next in one answer."""

    def __init__(self, matcher: Matcher, tokens: Tokens, *, clock: Callable[[], float] = time.thread_time) -> None:
        """`clock` returns CPU seconds."""
        self._matcher = matcher
        self._tokens = tokens
        self._state = matcher.start
        self._clock = clock
        self._spent = 0.0
        self._made = 0

    def best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        """Returns the likeliest tokens that the grammar allows, at least one and at most `most`.

        Raises GrammarError if this model has none, GrammarTooComplex if the answer has taken too much CPU time.
        """
        began = self._clock()
        try:
            return self._best(scores, most)
        finally:
            self._spent += self._clock() - began

    def accept(self, token: int) -> None:
        """Moves on by the chosen token. Raises GrammarError if the grammar forbids it."""
        if self._tokens.is_end(token):
            return
        self._made += 1
        state = self._matcher.after(self._state, self._tokens.piece(token))
        if state is None:
            raise GrammarError("the model chose a token that the grammar forbids")
        self._state = state

    def _best(self, scores: NDArray[np.float32], most: int) -> list[int]:
        if not self._state.open:
            return [self._tokens.ends[0] if self._tokens.ends else NO_TOKEN]
        if self._spent > _MOST_SECONDS + _MORE_SECONDS * self._made:
            raise GrammarTooComplex(
                f"checking the answer against it took {self._spent:.0f} s after {self._made} tokens"
            )
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
            raise GrammarError("no token of this model can continue the answer as it demands")
        return found

    def _fitting(self, candidates: NDArray[np.int64], scores: NDArray[np.float32], most: int) -> list[int]:
        """Returns the likeliest candidates that the grammar allows."""
        found: list[int] = []
        for token in candidates[np.argsort(-scores[candidates], kind="stable")].tolist():
            if self._fits(token):
                found.append(token)
                if len(found) == most:
                    break
        return found

    def _possible(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keeps tokens whose first byte may come next, and the end tokens if the answer may end."""
        table = np.zeros(257, np.bool_)
        table[list(self._matcher.first_bytes(self._state))] = True
        possible = table[self._tokens.first_bytes[tokens]]  # -1, no byte, is the last place
        if self._state.complete:
            possible |= np.isin(tokens, self._tokens.ends)
        return tokens[possible]

    def _fits(self, token: int) -> bool:
        if self._tokens.is_end(token):
            return self._state.complete
        piece = self._tokens.piece(token)
        return bool(piece) and self._matcher.after(self._state, piece) is not None
