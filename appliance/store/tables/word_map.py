"""Packs the map from a chunk's words to the page's own words for the database, and unpacks it exactly.

Format: five columns of offsets as 32-bit differences, then the boxes column by column, all deflated. Boxes are 32-bit
hundredths of a point where these are exact, as a reader's are, else 64-bit floats. A 130-word chunk takes about 1 kB.
"""

import zlib
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ingest.types import ChunkWord

_HUNDREDTHS, _SINGLE, _DOUBLE = b"h", b"f", b"d"
"""How the boxes are packed; 32-bit floats occur in older databases only."""
_KINDS = {_HUNDREDTHS: "<i4", _SINGLE: "<f4", _DOUBLE: "<f8"}
_OFFSETS = 5
_LEVEL = 1


def pack(words: Sequence[ChunkWord]) -> bytes:
    """The words as bytes; `unpack` returns equal words."""
    if not words:
        return b""
    *offsets, boxes = zip(*words, strict=True)
    steps = np.array(offsets, dtype=np.int32)
    steps[:, 1:] -= steps[:, :-1].copy()
    kind, edges = _packed_edges(np.fromiter(chain.from_iterable(boxes), np.float64, 4 * len(boxes)))
    columns = edges.reshape(-1, 4).T.astype(_KINDS[kind])
    return kind + zlib.compress(steps.astype("<i4").tobytes() + columns.tobytes(), _LEVEL)


def _packed_edges(edges: NDArray[np.float64]) -> tuple[bytes, NDArray[np.float64]]:
    with np.errstate(all="ignore"):  # a value that is too large compares unequal, so it is kept in 64 bits
        hundredths = np.rint(100 * edges)
        exact = np.array_equal(hundredths.astype(np.int32) / 100, edges)
    return (_HUNDREDTHS, hundredths) if exact else (_DOUBLE, edges)


def unpack(packed: bytes) -> tuple[ChunkWord, ...]:
    """The words that `pack` packed."""
    if not packed:
        return ()
    kind = packed[:1]
    edge = np.dtype(_KINDS[kind])
    data = zlib.decompress(packed[1:])
    count = len(data) // (4 * _OFFSETS + 4 * edge.itemsize)
    split = 4 * _OFFSETS * count
    offsets = np.cumsum(np.frombuffer(data[:split], "<i4").reshape(_OFFSETS, count), axis=1, dtype=np.int32).T.tolist()
    boxes = np.frombuffer(data[split:], edge).reshape(4, count).T
    if kind == _HUNDREDTHS:
        boxes = boxes / 100
    return tuple(
        ChunkWord(start, end, page, source_start, source_end, (x0, y0, x1, y1))
        for (start, end, page, source_start, source_end), (x0, y0, x1, y1) in zip(offsets, boxes.tolist(), strict=True)
    )
