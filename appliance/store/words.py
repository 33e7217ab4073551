"""The map from a chunk's words to the page's own, packed for the database and back, exactly.

Five columns of offsets as 32-bit differences, then the boxes column by column, as 32-bit floats where these are exact
and as 64-bit floats otherwise, all deflated. A 130-word chunk takes about 1 kB.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from ingest.types import ChunkWord

_SINGLE, _DOUBLE = b"f", b"d"
_OFFSETS = 5
_LEVEL = 1


def pack(words: Sequence[ChunkWord]) -> bytes:
    """The words as bytes; `unpack` gives equal ones."""
    if not words:
        return b""
    offsets = np.array([(w.start, w.end, w.page, w.source_start, w.source_end) for w in words], dtype=np.int32)
    boxes = np.array([w.box for w in words], dtype=np.float64)
    with np.errstate(over="ignore"):  # too large for 32 bits: infinite, so not equal, so kept in 64
        single = boxes.astype(np.float32)
    kind = _SINGLE if np.array_equal(single, boxes) else _DOUBLE
    steps = np.diff(offsets.T, axis=1, prepend=np.int32(0)).astype("<i4")
    columns = (single.T.astype("<f4") if kind == _SINGLE else boxes.T.astype("<f8")).tobytes()
    return kind + zlib.compress(steps.tobytes() + columns, _LEVEL)


def unpack(packed: bytes) -> tuple[ChunkWord, ...]:
    """The words that `pack` was given."""
    if not packed:
        return ()
    width = 4 if packed[:1] == _SINGLE else 8
    data = zlib.decompress(packed[1:])
    count = len(data) // (4 * _OFFSETS + 4 * width)
    split = 4 * _OFFSETS * count
    offsets = np.cumsum(np.frombuffer(data[:split], "<i4").reshape(_OFFSETS, count), axis=1, dtype=np.int32).T.tolist()
    boxes = np.frombuffer(data[split:], f"<f{width}").reshape(4, count).T.tolist()
    return tuple(
        ChunkWord(start, end, page, source_start, source_end, (x0, y0, x1, y1))
        for (start, end, page, source_start, source_end), (x0, y0, x1, y1) in zip(offsets, boxes, strict=True)
    )
