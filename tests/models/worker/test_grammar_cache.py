"""A grammar that cannot be compiled fails its own request only."""

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


def test_an_unforeseen_error_in_compiling_fails_only_its_own_request() -> None:
    unforeseen = cast(str, 5)
    with pytest.raises(InvalidPrompt, match="TypeError"):
        GrammarCache(NoTokens()).guide(unforeseen, None)


def test_the_error_about_a_long_schema_is_short() -> None:
    with pytest.raises(InvalidPrompt) as raised:
        GrammarCache(NoTokens()).guide(None, '{"type": "' + "x" * 100_000 + '"}')
    assert len(raised.value.why) <= 1_000
