"""Reading a request's grammar can fail its caller and nobody else."""

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import InvalidPrompt
from models.worker.grammar_cache import GrammarCache


class NoTokens:
    ends = ()
    first_bytes: NDArray[np.int16] = np.zeros(0, np.int16)

    def piece(self, token: int) -> bytes:
        raise NotImplementedError

    def is_end(self, token: int) -> bool:
        raise NotImplementedError


def test_what_reading_does_not_foresee_is_its_callers_error() -> None:
    unforeseen = cast(str, 5)
    with pytest.raises(InvalidPrompt, match="TypeError"):
        GrammarCache(NoTokens()).guide(unforeseen, None)


def test_what_is_said_of_a_long_schema_is_short() -> None:
    with pytest.raises(InvalidPrompt) as raised:
        GrammarCache(NoTokens()).guide(None, '{"type": "' + "x" * 100_000 + '"}')
    assert len(raised.value.why) <= 1_000
