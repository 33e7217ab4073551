"""Builds tiny documents of formats other than PDF."""

import io
import struct
import zipfile
from collections.abc import Mapping

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_FORMATS = "application/vnd.openxmlformats-officedocument"


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive with these entries in this order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def without(archive: bytes, name: str) -> bytes:
    """The same archive without one entry."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return zipped({entry: file.read(entry) for entry in file.namelist() if entry != name})


def epub(body: str, *, title: str = "Pump", author: str = "Ann") -> bytes:
    """A book of one chapter."""
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "c.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="2.0">'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
            f"<dc:creator>{author}</dc:creator></metadata>"
            '<manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/></spine></package>',
            "a.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>',
        }
    )


def docx(text: str) -> bytes:
    """A document of one paragraph."""
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return _office(
        "word/document.xml",
        "wordprocessingml.document.main+xml",
        {
            "word/document.xml": f'<w:document xmlns:w="{main}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>',
            "word/_rels/document.xml.rels": _relations({}),
            "word/styles.xml": f'<w:styles xmlns:w="{main}"/>',
        },
    )


def pptx(text: str) -> bytes:
    """A presentation of one slide."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/main"
    return _office(
        "ppt/presentation.xml",
        "presentationml.presentation.main+xml",
        {
            "ppt/presentation.xml": f'<p:presentation xmlns:p="{main}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
            '<p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": _relations({"slide": "slides/slide1.xml"}),
            "ppt/slides/slide1.xml": f'<p:sld xmlns:p="{main}" xmlns:a="{drawing}"><p:cSld><p:spTree><p:sp><p:txBody>'
            f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
        },
    )


def xlsx(text: str, number: int) -> bytes:
    """A workbook of one row: a text and a number."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return _office(
        "xl/workbook.xml",
        "spreadsheetml.sheet.main+xml",
        {
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{_OFFICE}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _relations(
                {"worksheet": "worksheets/sheet1.xml", "sharedStrings": "sharedStrings.xml"}
            ),
            "xl/sharedStrings.xml": f'<sst xmlns="{main}" count="1" uniqueCount="1"><si><t>{text}</t></si></sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c>'
            f'<c r="B1"><v>{number}</v></c></row></sheetData></worksheet>',
        },
    )


def fb2(text: str) -> bytes:
    """A FictionBook of one section."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        "<description><title-info><book-title>Pump</book-title></title-info></description>"
        f"<body><section><title><p>Safety</p></title><p>{text}</p></section></body></FictionBook>"
    ).encode()


def _office(main: str, kind: str, parts: Mapping[str, str]) -> bytes:
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main}" ContentType="{_FORMATS}.{kind}"/></Types>'
    )
    return zipped({"[Content_Types].xml": types, "_rels/.rels": _relations({"officeDocument": main}), **parts})


def _relations(targets: Mapping[str, str]) -> str:
    inner = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets.items(), 1)
    )
    return f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def xps(text: str, font: bytes) -> bytes:
    """A document of one page with one line; `font` is the content of a TrueType file."""
    types = "".join(
        f'<Default Extension="{name}" ContentType="{kind}"/>'
        for name, kind in (
            ("rels", "application/vnd.openxmlformats-package.relationships+xml"),
            ("fdseq", "application/vnd.ms-package.xps-fixeddocumentsequence+xml"),
            ("fdoc", "application/vnd.ms-package.xps-fixeddocument+xml"),
            ("fpage", "application/vnd.ms-package.xps-fixedpage+xml"),
            ("ttf", "application/vnd.ms-opentype"),
        )
    )
    xps, fonts = "http://schemas.microsoft.com/xps/2005/06", "/Resources/font.ttf"
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{types}</Types>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="r1" Type="{xps}/fixedrepresentation" Target="/a.fdseq"/></Relationships>',
            "a.fdseq": f'<FixedDocumentSequence xmlns="{xps}"><DocumentReference Source="/a.fdoc"/></FixedDocumentSequence>',
            "a.fdoc": f'<FixedDocument xmlns="{xps}"><PageContent Source="/1.fpage"/></FixedDocument>',
            "1.fpage": f'<FixedPage xmlns="{xps}" Width="400" Height="200" xml:lang="en">'
            f'<Glyphs FontUri="{fonts}" FontRenderingEmSize="16" OriginX="40" OriginY="60" Fill="#FF000000"'
            f' UnicodeString="{text}"/></FixedPage>',
            "_rels/1.fpage.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="r1" Type="{xps}/required-resource" Target="{fonts}"/></Relationships>',
            fonts[1:]: font,
        }
    )


def mobi(body: str, *, title: str = "Pump") -> bytes:
    """A Mobipocket book of one record of text, not compressed."""
    text, name = f"<html><body>{body}</body></html>".encode(), title.encode()
    palm_doc = struct.pack(">HHIHHHH", 1, 0, len(text), 1, 4096, 0, 0)
    header_bytes, nothing = 232, 0xFFFFFFFF
    header = struct.pack(">4sIIIII", b"MOBI", header_bytes, 2, 65001, 1, 6) + struct.pack(">10I", *[nothing] * 10)
    header += struct.pack(
        ">IIII", 2, 16 + header_bytes, len(name), 9
    )  # the first record after the text, the title's place and length, English
    first = palm_doc + header.ljust(header_bytes, b"\0") + name + bytes(2)
    records = [first, text]
    at = 78 + 8 * len(records) + 2
    offsets = [at, at + len(first)]
    entries = b"".join(struct.pack(">II", offset, 2 * number) for number, offset in enumerate(offsets))
    database = struct.pack(">32sHHIIIIII4s4sIIH", name, 0, 0, 0, 0, 0, 0, 0, 0, b"BOOK", b"MOBI", 0, 0, len(records))
    return database + entries + bytes(2) + b"".join(records)


def tiff(pixels: bytes, width: int, height: int, dpi: int) -> bytes:
    """A greyscale image with one byte per pixel, in one strip."""
    resolution = struct.pack("<II", dpi, 1)
    after = 8 + len(pixels) + len(pixels) % 2
    tags = (  # number, type (3: 16 bits, 4: 32 bits, 5: offset of a fraction), count, value
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(pixels)),
        (282, 5, 1, after),
        (283, 5, 1, after),
        (296, 3, 1, 2),
    )
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, after + 8) + pixels + bytes(len(pixels) % 2) + resolution + directory


def bmp(pixels: bytes, width: int, height: int, dpi: int) -> bytes:
    """A greyscale image with 256 shades; rows are stored bottom up, padded to a multiple of four bytes."""
    shades = b"".join(bytes((shade, shade, shade, 0)) for shade in range(256))
    rows = [pixels[at : at + width] + bytes(-width % 4) for at in range(0, len(pixels), width)]
    data, metre = b"".join(reversed(rows)), round(dpi / 0.0254)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, len(data), metre, metre, 256, 0)
    before = 14 + len(header) + len(shades)
    return struct.pack("<2sIII", b"BM", before + len(data), 0, before) + header + shades + data


def gif(pixels: bytes, width: int, height: int) -> bytes:
    """A greyscale image with 128 shades. Codes stay one byte, since the table is cleared before it outgrows them."""
    clear, end, run = 128, 129, 120
    shades = b"".join(bytes((2 * shade,) * 3) for shade in range(128))
    halved = pixels.translate(bytes(shade // 2 for shade in range(256)))
    codes = b"".join(bytes((clear,)) + halved[at : at + run] for at in range(0, len(halved), run)) + bytes((end,))
    blocks = b"".join(bytes((len(codes[at : at + 255]),)) + codes[at : at + 255] for at in range(0, len(codes), 255))
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0xF6, 0, 0)
    return screen + shades + struct.pack("<BHHHHB", 0x2C, 0, 0, width, height, 0) + b"\x07" + blocks + b"\0;"
