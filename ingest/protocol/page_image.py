"""Pages as pictures: what is asked of the parser's process, and what it sent, trusting nothing.

The picture of a page comes from the parser's process, which may be in the hands of the document it drew, and goes to
whoever asked for it. So only the plainest form passes: eight-bit RGB, not interlaced, the four kinds of chunk that a
picture needs, each with the right checksum, exactly as much image data as the size asks for, nothing behind the end.
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
"""By their place in `_KNOWN`."""
_STEP = 1 << 16
_FILTERS = 4

MOST_BOXES = 1000
_MOST_SIDE = 1_000_000


@dataclass(frozen=True, slots=True)
class Drawing:
    """A page to be drawn: at most so many dots an inch, with these boxes marked."""

    page: int
    dpi: int
    boxes: tuple[Box, ...] = ()

    def as_message(self) -> dict[str, object]:
        """As it travels to the parser's process; boxes beyond MOST_BOXES would be no highlight any more."""
        if len(self.boxes) > MOST_BOXES:
            raise ValueError(f"more than {MOST_BOXES} boxes")
        boxes = [round(100 * value) for box in self.boxes for value in box]
        return {"page": self.page, "dpi": self.dpi, "boxes": boxes}


def decode_image(message: Mapping[str, object]) -> PageImage:
    """The picture. Raises ProtocolError."""
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
        raise ProtocolError("a picture's size that is none")
    return value


def check_png(data: bytes, width: int, height: int) -> None:
    """Raises ProtocolError unless `data` is a PNG of this size."""
    if not data.startswith(_SIGNATURE):
        raise ProtocolError("the picture is not a PNG")
    position, order = len(_SIGNATURE), b""
    pixels = _Pixels(width, height)
    while position < len(data):
        kind, body = _chunk(data, position)
        if kind == b"IHDR" and _header(body) != (width, height, *_RGB):
            raise ProtocolError("the picture has another size or form than was said")
        if kind == b"IDAT":
            pixels.add(body)
        order += b"%d" % _KNOWN.index(kind)
        position += _CHUNK.size + len(body) + 4
    if not _ORDER.fullmatch(order):
        raise ProtocolError("the picture's parts are not in order")
    pixels.end()


def _header(body: memoryview) -> tuple[int, ...]:
    if len(body) != _HEADER.size:
        raise ProtocolError("the picture's header has another length")
    return _HEADER.unpack(body)


def _chunk(data: bytes, position: int) -> tuple[bytes, memoryview]:
    if len(data) - position < _CHUNK.size + 4:
        raise ProtocolError("the picture is cut off")
    length, kind = _CHUNK.unpack_from(data, position)
    begin = position + _CHUNK.size
    if length > len(data) - begin - 4:
        raise ProtocolError("the picture is cut off")
    if kind not in _KNOWN:
        raise ProtocolError("the picture has a part that a plain one has not")
    body = memoryview(data)[begin : begin + length]
    if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[begin + length : begin + length + 4]):
        raise ProtocolError("the picture's checksum is wrong")
    return kind, body


class _Pixels:
    """Inflates the image data piece by piece, keeping none of it."""

    def __init__(self, width: int, height: int) -> None:
        self._row = 1 + 3 * width
        self._expected = self._row * height
        self._seen = 0
        self._inflate = zlib.decompressobj()

    def add(self, body: memoryview) -> None:
        """The next part of the data."""
        rest: bytes | memoryview = body
        try:
            while rest:
                self._take(self._inflate.decompress(rest, _STEP))
                rest = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise ProtocolError("the picture's data cannot be unpacked") from error
        if self._inflate.unused_data:
            raise ProtocolError("the picture holds more than its data")

    def end(self) -> None:
        """There must be neither too little nor too much."""
        if not self._inflate.eof or self._seen != self._expected:
            raise ProtocolError("the picture's data has another length than its size asks for")

    def _take(self, data: bytes) -> None:
        if self._seen + len(data) > self._expected:
            raise ProtocolError("the picture's data has another length than its size asks for")
        first = -self._seen % self._row
        if any(value > _FILTERS for value in data[first :: self._row]):
            raise ProtocolError("the picture's rows are not what a PNG's are")
        self._seen += len(data)
