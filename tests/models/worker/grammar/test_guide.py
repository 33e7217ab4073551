"""Following a grammar is limited in time; a long answer may take longer than a short one."""

import itertools

import numpy as np
import pytest

from models.worker.grammar import GrammarTooComplex, Guide, Matcher, parse_gbnf

SCORES = np.zeros(1, np.float32)


class OneLetter:
    """A vocabulary of one token, `a`."""

    ends = ()
    first_bytes = np.array([ord("a")], np.int16)

    def piece(self, token: int) -> bytes:
        return b"a"

    def is_end(self, token: int) -> bool:
        return False


def answer(step_s: float, tokens: int) -> None:
    """Makes `tokens` tokens, each of which takes `step_s` to find."""
    clock = itertools.count(0.0, step_s)
    guide = Guide(Matcher(parse_gbnf('root ::= "a"*')), OneLetter(), clock=lambda: next(clock))
    for _ in range(tokens):
        guide.accept(guide.best(SCORES, 1)[0])


def test_a_long_answer_on_a_slow_machine_is_not_stopped() -> None:
    answer(0.008, 8_000)


def test_an_answer_that_takes_too_long_for_each_token_is_stopped() -> None:
    with pytest.raises(GrammarTooComplex, match=r"after 20[0-9] tokens"):
        answer(0.06, 400)
    with pytest.raises(GrammarTooComplex, match=r"after 1[01] tokens"):
        answer(1.0, 400)
