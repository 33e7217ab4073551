"""The packed map of a chunk's words."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.store.words import pack, unpack
from ingest.types import ChunkWord

_offset = st.integers(0, 2**31 - 1)
_single = st.floats(width=32, allow_nan=False)
_double = st.floats(allow_nan=False)


def _words(coordinate: st.SearchStrategy[float]) -> st.SearchStrategy[list[ChunkWord]]:
    box = st.tuples(coordinate, coordinate, coordinate, coordinate)
    return st.lists(st.builds(ChunkWord, _offset, _offset, _offset, _offset, _offset, box), max_size=20)


@settings(max_examples=50, deadline=None)
@given(_words(_single) | _words(_double))
def test_what_is_packed_comes_back_exactly(words: list[ChunkWord]) -> None:
    assert unpack(pack(words)) == tuple(words)


def test_a_usual_chunk_packs_to_less_than_two_kilobytes() -> None:
    random = np.random.default_rng(1)
    words = []
    for i in range(130):
        line, column = divmod(i, 12)
        x, y = 72.0 + 40 * column + float(np.float32(random.random())), 100.0 + 12 * line
        words.append(ChunkWord(6 * i, 6 * i + 5, 3, 7 * i, 7 * i + 5, (x, y, x + 30, y + 11)))
    assert len(pack(words)) < 2000
