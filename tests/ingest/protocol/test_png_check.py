"""An image from the parser's process is accepted only in its plainest form and complete."""

import struct
import zlib

import pytest

from ingest.protocol.frames import ProtocolError
from ingest.protocol.page_image import check_png

WIDTH, HEIGHT = 5, 3
RAW = (b"\x00" + bytes(3 * WIDTH)) * HEIGHT


def part(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(*fields: int) -> bytes:
    return part(b"IHDR", struct.pack(">IIBBBBB", *(fields or (WIDTH, HEIGHT, 8, 2, 0, 0, 0))))


def png(*parts: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


DATA = part(b"IDAT", zlib.compress(RAW))
END = part(b"IEND", b"")
GOOD = png(header(), part(b"pHYs", bytes(9)), DATA, END)


def test_a_plain_image_is_accepted_even_if_its_data_is_in_several_chunks() -> None:
    check_png(GOOD, WIDTH, HEIGHT)
    packed = zlib.compress(RAW)
    check_png(png(header(), part(b"IDAT", packed[:7]), part(b"IDAT", packed[7:]), END), WIDTH, HEIGHT)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GIF89a" + GOOD, id="another form"),
        pytest.param(GOOD[:-1], id="cut off"),
        pytest.param(GOOD + b"x", id="something behind the end"),
        pytest.param(png(header(), DATA, END, END), id="two ends"),
        pytest.param(png(header(), END), id="no data"),
        pytest.param(png(DATA, header(), END), id="data first"),
        pytest.param(png(header(), header(), DATA, END), id="two headers"),
        pytest.param(png(header(), DATA, part(b"tEXt", b"Comment\x00x"), END), id="a comment"),
        pytest.param(png(header(WIDTH, HEIGHT + 1, 8, 2, 0, 0, 0), DATA, END), id="another height"),
        pytest.param(png(header(WIDTH, HEIGHT, 16, 2, 0, 0, 0), DATA, END), id="16 bits"),
        pytest.param(png(header(WIDTH, HEIGHT, 8, 6, 0, 0, 0), DATA, END), id="transparency"),
        pytest.param(png(header(WIDTH, HEIGHT, 8, 2, 0, 0, 1), DATA, END), id="interlaced"),
        pytest.param(png(header(), part(b"IDAT", zlib.compress(RAW + b"x")), END), id="too much data"),
        pytest.param(png(header(), part(b"IDAT", zlib.compress(bytes(10**7))), END), id="a bomb"),
        pytest.param(png(header(), part(b"IDAT", zlib.compress(RAW[:-1])), END), id="too little data"),
        pytest.param(png(header(), part(b"IDAT", zlib.compress(RAW) + b"x"), END), id="data behind the data"),
        pytest.param(png(header(), part(b"IDAT", b"not deflated"), END), id="no deflated data"),
        pytest.param(png(header(), part(b"IDAT", zlib.compress(b"\x07" + RAW[1:])), END), id="an unknown filter"),
        pytest.param(GOOD.replace(END, END[:-1] + b"\x00"), id="a wrong checksum"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        check_png(data, WIDTH, HEIGHT)


def test_no_flipped_byte_passes() -> None:
    for position in range(len(GOOD)):
        flipped = bytearray(GOOD)
        flipped[position] ^= 0x10
        with pytest.raises(ProtocolError):
            check_png(bytes(flipped), WIDTH, HEIGHT)
