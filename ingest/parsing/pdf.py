"""Reads an open document with pymupdf, its only importer: what the document is, and its pages in columns.

Runs in the parser's process (`parser_main`).
"""

import base64
import contextlib
import math
import mmap
import re
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

import pymupdf as untyped

from ingest.errors import BrokenPdf, EncryptedPdf, IngestError, ParserLimit
from ingest.malloc import give_back_freed
from ingest.parsing.file_type import OFFICE_HINT, PDF, FileType, as_utf8, lacking
from ingest.parsing.highlight import mark
from ingest.parsing.line_styles import PLAIN, LineStyle, line_styles
from ingest.parsing.scan_detection import is_scanned, resolution
from ingest.protocol.frames import INTEGERS
from ingest.protocol.page_columns import RawPage, empty_page, hundredths

pymupdf: Any = untyped  # its annotations are partial: one Any instead of an ignore on each call

pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)

FLAGS = pymupdf.TEXTFLAGS_TEXT
_FARTHEST_WORD = 400
"""Characters from the end of a word, and the white space behind it, within which the next word begins. A word farther
away was clipped out of the text. Chosen by eye."""
POINTS = 72
MOST_DOTS = 16_000_000
"""Pixels of the largest page image; see "A page's picture" in docs/decisions.md."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s*")
_CODE = re.compile(r"^code=\d+: ")
_STORE_PERCENT = 50
_PAGES_PER_SHRINK = 64
"""Measured on 10,000 pages of prose: see "What was read is given back" in docs/decisions.md."""
_MANY_PAGES = 2000
"""A document of so many pages has objects of several megabytes."""

_LAYOUT_WIDTH, _LAYOUT_HEIGHT, _LAYOUT_SIZE = 400, 600, 11
"""Points, for text without pages of its own: always the same, so that the same text gives the same pages."""

ENCRYPTED_HINT = (
    "remove the password, e.g. `qpdf --password=SECRET --decrypt in.pdf out.pdf` (`apt-get install qpdf`), then replace"
    " the file"
)
BROKEN_OTHER_HINT = "open it in the program that made it and save it again, or export it as PDF"
BROKEN_HINT = "save it again with another PDF program, e.g. `qpdf in.pdf out.pdf`, or export it again"

CUT_OFF_HINT = "copy or download it again; an interrupted copy is the usual cause"
_END_MARK = b"%%EOF"
_END_WITHIN = 2048
"""The end mark may be among so many bytes at the end. Chosen by eye."""


def _lacks_end(content: memoryview) -> bool:
    return _END_MARK not in bytes(content[-_END_WITHIN:])


def _cut_off() -> BrokenPdf:
    return BrokenPdf("", "it is cut off: its end is missing", CUT_OFF_HINT)


_Box = tuple[float, float, float, float]


class RawInfo(TypedDict):
    """What the document says about itself, as it travels to the parent."""

    pages: int
    title: str
    author: str
    created: str
    modified: str
    language: str
    outline_titles: list[str]
    outline_levels: "array[int]"
    outline_pages: "array[int]"
    """0 for a bookmark that leads to no page."""


class RawScanPicture(NamedTuple):
    """A page for text recognition as it leaves the parser: grey pixels, one byte each, row by row."""

    width: int
    height: int
    dpi: int
    pixels: bytes


class RawPageDrawing(TypedDict):
    """A request to draw a page, as it arrives in the parser. `boxes` in hundredths of a point, four numbers each."""

    page: int
    dpi: int
    """The highest resolution; lower if the image would have more than MOST_DOTS pixels."""
    boxes: list[int]


class RawPageImage(TypedDict):
    """A drawn page as it leaves the parser: a PNG in base 64, its size in pixels."""

    width: int
    height: int
    dpi: int
    png: str


def mapped(descriptor: int) -> memoryview:
    """The file behind a descriptor, mapped rather than read; the descriptor is not needed afterwards."""
    return memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))


class PdfReader:
    """An open document. No other file is opened while it is read. Text without pages is laid out on pages of one size.

    Raises EncryptedPdf, BrokenPdf and ParserLimit (out of memory), with an empty `what` for the caller to fill in.
    """

    def __init__(self, content: memoryview, kind: FileType = PDF) -> None:
        self._content = content
        cut_off = kind is PDF and _lacks_end(content)
        try:
            self._document = _opened(content, kind)
            locked = bool(self._document.needs_pass)
            self._pages = 0 if locked else int(self._document.page_count)
            self._forgets = kind is PDF and self._pages >= _MANY_PAGES
            self._has_labels = not locked and kind is PDF and bool(self._document.get_page_labels())
        except Exception as error:  # pymupdf raises a dozen unrelated types, Exception itself among them
            raise (_cut_off() if cut_off else _translated_for(error, content, kind)) from error
        if locked:
            raise EncryptedPdf("", "it needs a password", ENCRYPTED_HINT)
        if cut_off and self._document.is_repaired:
            raise _cut_off()  # what is left could be read, but what is missing would go unnoticed
        if self._pages < 1:
            raise BrokenPdf("", "it has no pages", BROKEN_HINT if kind is PDF else BROKEN_OTHER_HINT)

    def info(self, most_bookmarks: int) -> RawInfo:
        """The number of pages, the metadata, and the first `most_bookmarks` entries of the outline."""
        metadata = self._document.metadata or {}

        def stated(key: str, longest: int) -> str:
            return _clean(str(metadata.get(key) or ""))[:longest]

        entries = self._outline()[:most_bookmarks]
        return RawInfo(
            pages=self._pages,
            title=stated("title", 1000),
            author=stated("author", 1000),
            created=stated("creationDate", 64),
            modified=stated("modDate", 64),
            language=self._language(),
            outline_titles=[_clean(title)[:300] for _, title, _ in entries],
            outline_levels=array(INTEGERS, [level for level, _, _ in entries]),
            outline_pages=array(INTEGERS, [page if 1 <= page <= self._pages else 0 for _, _, page in entries]),
        )

    def _outline(self) -> list[tuple[int, str, int]]:
        """Level, title and page of each bookmark; none if the outline cannot be read."""
        with _tolerated():
            return [(int(level), str(title), int(page)) for level, title, page, *_ in self._document.get_toc()]
        return []

    def _language(self) -> str:
        """The catalogue's /Lang as written; pymupdf's own property drops the region."""
        with _tolerated():
            kind, language = self._document.xref_get_key(self._document.pdf_catalog(), "Lang")
            return _clean(str(language))[:64] if kind == "string" else ""
        return ""

    def image(self, drawing: RawPageDrawing) -> RawPageImage:
        """Draw one page as it is displayed, with its boxes marked.

        Raises BrokenPdf if it cannot be drawn, and ParserLimit.
        """
        try:
            return _draw(self._document.load_page(drawing["page"] - 1), drawing)
        except Exception as error:  # as above
            raise translated(error) from error

    def pages(self, picture_pixels: int) -> Iterator[tuple[RawPage, "RawScanPicture | None"]]:
        """Every page; a scanned one with a picture of at most `picture_pixels` pixels for text recognition.

        With 0 no pictures are made.
        """
        for index in range(self._pages):
            if index % _PAGES_PER_SHRINK == 1:  # reading the first page has loaded the list of all pages
                self._forget_what_was_read()
            yield self._page(index, picture_pixels)

    def _forget_what_was_read(self) -> None:
        """Free fonts, images and objects that MuPDF caches, and unload the pages of the mapped file.

        The kernel reads the file's pages again when they are needed.
        """
        pymupdf.TOOLS.store_shrink(_STORE_PERCENT)
        if self._forgets:
            pymupdf.mupdf.pdf_clear_xref(pymupdf.mupdf.PdfDocument(self._document.this))
            give_back_freed()
        file = self._content.obj
        if isinstance(file, mmap.mmap):
            file.madvise(mmap.MADV_DONTNEED)

    def _page(self, index: int, picture_pixels: int) -> tuple[RawPage, "RawScanPicture | None"]:
        """One page. A damaged one comes back empty and marked as damaged, so that the others can still be read."""
        try:
            return self._whole_page(index, picture_pixels)
        except Exception as error:  # as above
            found = translated(error)
            if isinstance(found, ParserLimit):
                raise found from error
        if self._forgets:  # in a damaged file, freed objects may not load a second time
            self._forgets = False
            self._document = _opened(self._content, PDF)
            return self._page(index, picture_pixels)
        return empty_page(index + 1), None

    def _whole_page(self, index: int, picture_pixels: int) -> tuple[RawPage, "RawScanPicture | None"]:
        page = self._document.load_page(index)
        label = _clean(str(page.get_label()))[:64] if self._has_labels else ""
        raw = _read(page, index + 1, label)
        raw["scanned"] = is_scanned(len(raw["starts"]), page.get_bboxlog, page.rect.width, page.rect.height)
        return raw, _picture(page, picture_pixels) if raw["scanned"] and picture_pixels else None


def _opened(content: memoryview, kind: FileType) -> Any:
    stream = as_utf8(content) if kind.filetype in ("txt", "md") else content
    document = pymupdf.open(stream=stream, filetype=kind.filetype)
    if document.is_reflowable:
        document.layout(width=_LAYOUT_WIDTH, height=_LAYOUT_HEIGHT, fontsize=_LAYOUT_SIZE)
    return document


def translated(error: BaseException) -> IngestError:
    """The error of ours for an exception of pymupdf, told apart by its message."""
    text = str(error)
    if isinstance(error, MemoryError) or "malloc" in text or "calloc" in text or "out of memory" in text:
        return ParserLimit("", "reading it takes more memory than allowed")
    if "encrypt" in text or "password" in text:
        return EncryptedPdf("", f"its encryption is not supported ({_brief(text)})", ENCRYPTED_HINT)
    return BrokenPdf("", f"it is damaged ({_brief(text)})", BROKEN_HINT)


def _translated_for(error: BaseException, content: memoryview, kind: FileType) -> IngestError:
    found = translated(error)
    if kind is PDF or not isinstance(found, BrokenPdf):
        return found
    if why := lacking(content, kind):
        return BrokenPdf("", why, OFFICE_HINT)
    return BrokenPdf("", found.why, BROKEN_OTHER_HINT)


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    """Ignore failures inside, because the document can be read without it; only a limit ends the reading."""
    try:
        yield
    except Exception as error:  # as above
        found = translated(error)
        if isinstance(found, ParserLimit):
            raise found from error


def warm_up() -> None:
    """Run every path once on an empty page, so that nothing is imported or opened after the lock-in."""
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "warm up")
    document.get_page_labels()
    page = document.load_page(0)
    document.set_toc([[1, "warm up", 1]])
    PdfReader(memoryview(document.tobytes())).info(1)
    page.get_bboxlog()
    _picture(page, 1000)
    for kind, content in (("html", b"<h1>warm</h1><p>up</p>"), ("txt", b"warm up"), ("md", b"# warm up")):
        laid_out = PdfReader(memoryview(content), FileType("", kind))
        _read(laid_out._document.load_page(0), 1, "")
    page.set_rotation(90)
    _read(page, 1, str(page.get_label()))
    pymupdf.TOOLS.store_shrink(_STORE_PERCENT)
    document.close()


def _read(page: Any, number: int, label: str) -> RawPage:
    textpage = page.get_textpage(flags=FLAGS)
    text = textpage.extractText()
    raw = empty_page(number)
    raw["damaged"] = False
    raw["label"] = label
    raw["size"] = array(INTEGERS, [hundredths(page.rect.width), hundredths(page.rect.height)])
    matrix = page.rotation_matrix if page.rotation else None
    styles = line_styles(textpage.extractDICT())
    _add_words(raw, text, textpage.extractWORDS(), styles, matrix)
    raw["text"] = _clean(text)
    return raw


def _picture(page: Any, most_pixels: int) -> RawScanPicture | None:
    """The displayed page in grey; None if it cannot be rendered, which costs this page alone."""
    try:
        width, height = float(page.rect.width), float(page.rect.height)
        images = [(int(found["width"]), found["bbox"]) for found in page.get_image_info()]
        dpi = resolution(images, width, height, most_pixels)
        pixmap = page.get_pixmap(dpi=dpi, colorspace=pymupdf.csGRAY, alpha=False)
        if pixmap.stride != pixmap.width or not 0 < pixmap.width * pixmap.height <= most_pixels:
            return None
        return RawScanPicture(pixmap.width, pixmap.height, dpi, bytes(pixmap.samples_mv))
    except Exception:  # noqa: BLE001  # as above; too large an image fails for lack of memory
        pymupdf.TOOLS.store_shrink(100)
        return None


def _add_words(
    raw: RawPage, text: str, words: list[Any], styles: dict[tuple[int, int], LineStyle], matrix: Any
) -> None:
    position = 0
    line: tuple[int, int] | None = None
    starts, ends, boxes, line_words = raw["starts"], raw["ends"], raw["boxes"], raw["line_words"]
    for x0, y0, x1, y1, word, block, row, _ in words:
        start = text.find(word, position, position + len(word) + _FARTHEST_WORD)
        if start < 0:
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it always matches
            start = text.find(word, position, position + len(word) + _FARTHEST_WORD)
        if start < 0:
            continue
        position = start + len(word)
        if (block, row) != line:
            line = (block, row)
            _add_line(raw, block, styles.get(line), matrix)
        line_words[-1] += 1
        starts.append(start)
        ends.append(position)
        boxes.extend(_box((x0, y0, x1, y1), matrix))


def _add_line(raw: RawPage, block: int, style: LineStyle | None, matrix: Any) -> None:
    style = style or PLAIN
    raw["line_words"].append(0)
    raw["line_blocks"].append(block)
    raw["line_sizes"].append(hundredths(style.size))
    raw["line_bold"].append(int(style.bold))
    raw["line_marked"].append(int(style.marked))
    raw["line_boxes"].extend(_box(style.box, matrix))


def _box(box: _Box, matrix: Any) -> _Box:
    return box if matrix is None else tuple(pymupdf.Rect(box) * matrix)


def _clean(text: str) -> str:
    """Replace lone surrogates, which cannot be stored as UTF-8; one character for one keeps all offsets."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _brief(text: str) -> str:
    """MuPDF's message without its error code, on one line, at most 200 characters."""
    return _CODE.sub("", " ".join(_clean(text).split()))[:200]


def warm_up_drawing() -> None:
    """Run the drawing of a page once; see `warm_up`."""
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "warm up")
    _draw(document.load_page(0), RawPageDrawing(page=1, dpi=72, boxes=[0, 0, 100, 100]))
    document.close()


def _draw(page: Any, drawing: RawPageDrawing) -> RawPageImage:
    dpi = _dpi_within(page.rect, drawing["dpi"])
    scale = dpi / POINTS
    pixmap = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), colorspace=pymupdf.csRGB, alpha=False)
    pixels = bytearray(pixmap.samples)
    mark(pixels, pixmap.width, pixmap.height, _pixel_boxes(drawing["boxes"], scale, pixmap.x, pixmap.y))
    marked = pymupdf.Pixmap(pymupdf.csRGB, pixmap.width, pixmap.height, bytes(pixels), False)
    marked.set_dpi(dpi, dpi)
    png = base64.b64encode(marked.tobytes("png")).decode("ascii")
    return RawPageImage(width=pixmap.width, height=pixmap.height, dpi=dpi, png=png)


def _dpi_within(rect: Any, dpi: int) -> int:
    area = rect.width * rect.height
    if not 0 < area < math.inf:
        raise ValueError("the page has no area")
    return max(1, min(dpi, int(POINTS * math.sqrt(MOST_DOTS / area))))


def _pixel_boxes(boxes: list[int], scale: float, left: int, top: int) -> Iterator[tuple[int, int, int, int]]:
    """The smallest boxes of whole pixels that contain the boxes."""
    scale /= 100
    for x0, y0, x1, y1 in zip(boxes[0::4], boxes[1::4], boxes[2::4], boxes[3::4], strict=True):
        yield (
            math.floor(x0 * scale) - left,
            math.floor(y0 * scale) - top,
            math.ceil(x1 * scale) - left,
            math.ceil(y1 * scale) - top,
        )
