"""Builds PDFs object by object, well or badly formed, for `bombs`."""

import zlib
from collections.abc import Iterable, Mapping

TEXT = b"BT /F 12 Tf 72 720 Td (A page of plain words about the harbour and its valves.) Tj ET"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
_RESOURCES = b"/Resources<</Font<</F 4 0 R>>>>"
_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]%b/Contents 5 0 R%%b>>" % _RESOURCES

Objects = dict[int, bytes]


def pdf(objects: Mapping[int, bytes], trailer: bytes = b"", size: int | None = None) -> bytes:
    """A PDF of these objects with correct offsets; object 1 is the root."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n \n" % (number, offset)
    out += b"trailer\n<</Size %d/Root 1 0 R%b>>\n" % (size or max(objects) + 1, trailer)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<</Length %d%b>>stream\n%b\nendstream" % (len(data), entries, data)


def squeezed(pieces: Iterable[bytes], times: int = 1) -> bytes:
    """A stream of these bytes, compressed `times` times over."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(piece) for piece in pieces) + packer.flush()
    for _ in range(times - 1):
        data = zlib.compress(data, 9)
    return stream(data, b"/Filter[%b]" % (b"/FlateDecode " * times))


def plain(content: bytes | None = None, page: bytes = b"", catalogue: bytes = b"") -> Objects:
    """The objects of a PDF with one page of text, as a base for broken ones."""
    return {
        1: b"<</Type/Catalog/Pages 2 0 R%b>>" % catalogue,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: _PAGE % page,
        4: FONT,
        5: content or stream(TEXT),
    }
