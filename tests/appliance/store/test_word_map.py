"""The packed word map of a chunk."""

import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.store.tables.word_map import pack, unpack
from ingest.types import ChunkWord

_offset = st.integers(0, 2**31 - 1)
_single = st.floats(width=32, allow_nan=False)
_double = st.floats(allow_nan=False)
_hundredths = st.integers(-(10**8), 10**8).map(lambda number: number / 100)


def _words(coordinate: st.SearchStrategy[float]) -> st.SearchStrategy[list[ChunkWord]]:
    box = st.tuples(coordinate, coordinate, coordinate, coordinate)
    return st.lists(st.builds(ChunkWord, _offset, _offset, _offset, _offset, _offset, box), max_size=20)


@settings(max_examples=50, deadline=None)
@given(_words(_hundredths) | _words(_single) | _words(_double))
def test_packed_words_unpack_exactly(words: list[ChunkWord]) -> None:
    assert unpack(pack(words)) == tuple(words)


def test_boxes_of_32_bits_from_older_databases_are_read() -> None:
    word = ChunkWord(0, 5, 3, 7, 12, (72.25, 100.0, 90.5, 111.0))
    columns = np.array([0, 5, 3, 7, 12], "<i4").tobytes() + np.array(word.box, "<f4").tobytes()
    assert unpack(b"f" + zlib.compress(columns)) == (word,)


def test_a_typical_chunk_packs_to_about_a_kilobyte() -> None:
    random = np.random.default_rng(1)
    words = []
    for i in range(130):
        line, column = divmod(i, 12)
        x, y = round(72.0 + 40 * column + random.random(), 2), 100.0 + 12 * line
        words.append(ChunkWord(6 * i, 6 * i + 5, 3, 7 * i, 7 * i + 5, (x, y, round(x + 30, 2), y + 11)))
    assert len(pack(words)) < 1200
