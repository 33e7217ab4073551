"""Carries the request to draw a page to the parser's process, and checks the PNG that comes back.

Three names for the look of a page: a `ScanPicture` is grey pixels for text recognition, a `PageDrawing` is the request
to draw a page for people, and a `PageImage` is the PNG that results. With `Raw` before it, it is the parser's own form.

The PNG comes from a process that its document may have taken over, and goes to a client. So only the plainest form
passes: eight-bit RGB, not interlaced, the four chunk types that an image needs, each with the right checksum, exactly
as much image data as the size requires, nothing after the end.
"""

import base64
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.protocol.frames import ProtocolError
from ingest.types import Box, PageImage

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")
_RGB = (8, 2, 0, 0, 0)
_KNOWN = (b"IHDR", b"pHYs", b"IDAT", b"IEND")
_ORDER = re.compile(rb"01?2+3")
"""Chunk types by their index in `_KNOWN`."""
_STEP = 1 << 16
"""Bytes that are inflated at a time."""
_FILTERS = 4
"""The highest filter type of a row: section 9.2 of the PNG specification."""

MOST_BOXES = 1000
_MOST_SIDE = 1_000_000  # pixels; both chosen by eye, far above any real request


@dataclass(frozen=True, slots=True)
class PageDrawing:
    """A request to draw a page at a resolution of at most `dpi`, with these boxes (in points) marked."""

    page: int
    dpi: int
    boxes: tuple[Box, ...] = ()

    def as_message(self) -> dict[str, object]:
        """The request as it travels, boxes in hundredths of a point.

        Raises ValueError for more than MOST_BOXES boxes, which would be no highlight any more.
        """
        if len(self.boxes) > MOST_BOXES:
            raise ValueError(f"more than {MOST_BOXES} boxes")
        boxes = [round(100 * value) for box in self.boxes for value in box]
        return {"page": self.page, "dpi": self.dpi, "boxes": boxes}


def decode_image(message: Mapping[str, object]) -> PageImage:
    """Decode a drawn page. Raises ProtocolError."""
    width, height, dpi = (_size(message.get(key)) for key in ("width", "height", "dpi"))
    packed = message.get("png")
    if not isinstance(packed, str):
        raise ProtocolError("png: not a text")
    try:
        png = base64.b64decode(packed, validate=True)
    except ValueError as error:
        raise ProtocolError("png: not base 64") from error
    check_png(png, width, height)
    return PageImage(png, width, height, dpi)


def _size(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_SIDE:
        raise ProtocolError("the image's size is not possible")
    return value


def check_png(data: bytes, width: int, height: int) -> None:
    """Raise ProtocolError unless `data` is a plain PNG of this size in pixels."""
    if not data.startswith(_SIGNATURE):
        raise ProtocolError("the image is not a PNG")
    position, order = len(_SIGNATURE), b""
    pixels = _Pixels(width, height)
    while position < len(data):
        kind, body = _chunk(data, position)
        if kind == b"IHDR" and _header(body) != (width, height, *_RGB):
            raise ProtocolError("the image has another size or form than announced")
        if kind == b"IDAT":
            pixels.add(body)
        order += b"%d" % _KNOWN.index(kind)
        position += _CHUNK.size + len(body) + 4
    if not _ORDER.fullmatch(order):
        raise ProtocolError("the image's parts are out of order")
    pixels.end()


def _header(body: memoryview) -> tuple[int, ...]:
    if len(body) != _HEADER.size:
        raise ProtocolError("the image's header has the wrong length")
    return _HEADER.unpack(body)


def _chunk(data: bytes, position: int) -> tuple[bytes, memoryview]:
    if len(data) - position < _CHUNK.size + 4:
        raise ProtocolError("the image is cut off")
    length, kind = _CHUNK.unpack_from(data, position)
    begin = position + _CHUNK.size
    if length > len(data) - begin - 4:
        raise ProtocolError("the image is cut off")
    if kind not in _KNOWN:
        raise ProtocolError("the image has a part that a plain PNG lacks")
    body = memoryview(data)[begin : begin + length]
    if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[begin + length : begin + length + 4]):
        raise ProtocolError("the image's checksum is wrong")
    return kind, body


class _Pixels:
    """Inflates the image data piece by piece to check it, without keeping any of it."""

    def __init__(self, width: int, height: int) -> None:
        self._row = 1 + 3 * width
        self._expected = self._row * height
        self._seen = 0
        self._inflate = zlib.decompressobj()

    def add(self, body: memoryview) -> None:
        """Check the next part of the data. Raises ProtocolError."""
        rest: bytes | memoryview = body
        try:
            while rest:
                self._take(self._inflate.decompress(rest, _STEP))
                rest = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise ProtocolError("the image's data cannot be unpacked") from error
        if self._inflate.unused_data:
            raise ProtocolError("the image holds more than its data")

    def end(self) -> None:
        """Raise ProtocolError if there was too little data."""
        if not self._inflate.eof or self._seen != self._expected:
            raise ProtocolError("the image's data does not fit its size")

    def _take(self, data: bytes) -> None:
        if self._seen + len(data) > self._expected:
            raise ProtocolError("the image's data does not fit its size")
        first = -self._seen % self._row
        if any(value > _FILTERS for value in data[first :: self._row]):
            raise ProtocolError("the image has a row that no PNG has")
        self._seen += len(data)
