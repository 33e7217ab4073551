"""The only importer of pymupdf: an open descriptor -> what the document is, and its pages in columns.

Runs in the parser's process (see `child`). A page travels as columns of integers, boxes in hundredths of a point,
because a dictionary per word costs more than reading the page.
"""

import contextlib
import mmap
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

import pymupdf as untyped

from ingest.errors import BrokenPdf, EncryptedPdf, IngestError, ParserLimit

pymupdf: Any = untyped  # its annotations are partial: Any, rather than an ignore on each call

pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)

FLAGS = pymupdf.TEXTFLAGS_TEXT
_BOLD = pymupdf.TEXT_FONT_BOLD
_ITALIC = 2
_COLOURED = 48
_FARTHEST_WORD = 400
"""A word farther than this from the one before is not looked for: it was clipped out of the text."""
_MAX_COORDINATE = 100_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_STORE_PERCENT = 50
_PAGES_PER_SHRINK = 64

ENCRYPTED_HINT = "remove the password, e.g. `qpdf --decrypt in.pdf out.pdf`, and drop the file again"
BROKEN_HINT = "open and save it again with another PDF program, e.g. `qpdf in.pdf out.pdf`, or export it anew"

CUT_OFF_HINT = "copy or download it again; an interrupted copy is the usual cause"
_END_MARK = b"%%EOF"
_END_WITHIN = 2048


def _lacks_end(content: memoryview) -> bool:
    return _END_MARK not in bytes(content[-_END_WITHIN:])


def _cut_off() -> BrokenPdf:
    return BrokenPdf("", "it is cut off: its end is missing", CUT_OFF_HINT)


class RawPage(TypedDict):
    """A page in columns. Words lie in the order of the text, lines in the order of their words."""

    number: int
    text: str
    label: str
    size: list[int]
    """Width and height."""
    starts: list[int]
    ends: list[int]
    boxes: list[int]
    """Four for each word."""
    line_words: list[int]
    line_boxes: list[int]
    line_blocks: list[int]
    line_sizes: list[int]
    line_bold: list[int]
    line_marked: list[int]
    """Lines wholly in italics or in colour."""
    damaged: bool
    """The page could not be read, or not to its end; `text` has what could."""


class RawInfo(TypedDict):
    """What is known of the document before its first page."""

    pages: int
    title: str
    author: str
    created: str
    modified: str
    language: str
    outline_titles: list[str]
    outline_levels: list[int]
    outline_pages: list[int]
    """0 for a bookmark that leads to no page."""


def mapped(descriptor: int) -> memoryview:
    """The file behind a descriptor, mapped rather than read: the descriptor is not needed any more."""
    return memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))


class PdfReader:
    """An open PDF; nothing else is opened while it is read.

    Raises EncryptedPdf, BrokenPdf and ParserLimit (too much memory), their `what` empty for the caller to fill in.
    """

    def __init__(self, content: memoryview) -> None:
        try:
            self._document = pymupdf.open(stream=content, filetype="pdf")
            locked = bool(self._document.needs_pass)
            self._pages = 0 if locked else int(self._document.page_count)
            self._has_labels = not locked and bool(self._document.get_page_labels())
        except Exception as error:  # pymupdf raises a dozen unrelated types, Exception itself among them
            raise (_cut_off() if _lacks_end(content) else translated(error)) from error
        if locked:
            raise EncryptedPdf("", "it needs a password", ENCRYPTED_HINT)
        if self._document.is_repaired and _lacks_end(content):
            raise _cut_off()  # what is left could be read, but nobody would know what is missing
        if self._pages < 1:
            raise BrokenPdf("", "it has no pages", BROKEN_HINT)

    def info(self, most_bookmarks: int) -> RawInfo:
        """The number of pages, what the metadata say, and the outline."""
        metadata = self._document.metadata or {}

        def said(key: str, longest: int) -> str:
            return _clean(str(metadata.get(key) or ""))[:longest]

        entries = self._outline()[:most_bookmarks]
        return RawInfo(
            pages=self._pages,
            title=said("title", 1000),
            author=said("author", 1000),
            created=said("creationDate", 64),
            modified=said("modDate", 64),
            language=self._language(),
            outline_titles=[_clean(title)[:300] for _, title, _ in entries],
            outline_levels=[level for level, _, _ in entries],
            outline_pages=[page if 1 <= page <= self._pages else 0 for _, _, page in entries],
        )

    def _outline(self) -> list[tuple[int, str, int]]:
        """Level, title and page."""
        with _tolerated():
            return [(int(level), str(title), int(page)) for level, title, page, *_ in self._document.get_toc()]
        return []

    def _language(self) -> str:
        """The catalogue's /Lang as it stands there; pymupdf's own property keeps no region."""
        with _tolerated():
            kind, language = self._document.xref_get_key(self._document.pdf_catalog(), "Lang")
            return _clean(str(language))[:64] if kind == "string" else ""
        return ""

    def __iter__(self) -> Iterator[RawPage]:
        for index in range(self._pages):
            if index % _PAGES_PER_SHRINK == _PAGES_PER_SHRINK - 1:
                pymupdf.TOOLS.store_shrink(_STORE_PERCENT)
            yield self._page(index)

    def _page(self, index: int) -> RawPage:
        """One page; a damaged one comes back empty and marked, so that the others can still be read."""
        try:
            page = self._document.load_page(index)
            label = _clean(str(page.get_label()))[:64] if self._has_labels else ""
            return _read(page, index + 1, label)
        except Exception as error:  # as above
            found = translated(error)
            if isinstance(found, ParserLimit):
                raise found from error
            return _empty(index + 1)


def translated(error: BaseException) -> IngestError:
    """pymupdf's exceptions as ours."""
    text = str(error)
    if isinstance(error, MemoryError) or "malloc" in text or "calloc" in text or "out of memory" in text:
        return ParserLimit("", "reading it takes more memory than is allowed")
    if "encrypt" in text or "password" in text:
        return EncryptedPdf("", f"it is encrypted in a way that cannot be read ({_brief(text)})", ENCRYPTED_HINT)
    return BrokenPdf("", f"it is damaged ({_brief(text)})", BROKEN_HINT)


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    """What fails inside is left out, as the document can do without it; only a limit ends the reading."""
    try:
        yield
    except Exception as error:  # as above
        found = translated(error)
        if isinstance(found, ParserLimit):
            raise found from error


def warm_up() -> None:
    """Run every path once on an empty page, so that nothing is imported or opened after the process is locked in."""
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "warm up")
    document.get_page_labels()
    page = document.load_page(0)
    document.set_toc([[1, "warm up", 1]])
    PdfReader(memoryview(document.tobytes())).info(1)
    page.set_rotation(90)
    _read(page, 1, str(page.get_label()))
    pymupdf.TOOLS.store_shrink(_STORE_PERCENT)
    document.close()


def _read(page: Any, number: int, label: str) -> RawPage:
    textpage = page.get_textpage(flags=FLAGS)
    text = textpage.extractText()
    raw = _empty(number)
    raw["damaged"] = False
    raw["label"] = label
    raw["size"] = [_hundredths(page.rect.width), _hundredths(page.rect.height)]
    matrix = page.rotation_matrix if page.rotation else None
    styles = _line_styles(textpage.extractDICT())
    _add_words(raw, text, textpage.extractWORDS(), styles, matrix)
    raw["text"] = _clean(text)
    return raw


def _add_words(
    raw: RawPage, text: str, words: list[Any], styles: dict[tuple[int, int], "_LineStyle"], matrix: Any
) -> None:
    position = 0
    line: tuple[int, int] | None = None
    starts, ends, boxes, line_words = raw["starts"], raw["ends"], raw["boxes"], raw["line_words"]
    for x0, y0, x1, y1, word, block, row, _ in words:
        start = text.find(word, position, position + _FARTHEST_WORD)
        if start < 0:
            continue
        position = start + len(word)
        if (block, row) != line:
            line = (block, row)
            _add_line(raw, block, styles.get(line), matrix)
        line_words[-1] += 1
        starts.append(start)
        ends.append(position)
        boxes += _box((x0, y0, x1, y1), matrix)


def _add_line(raw: RawPage, block: int, style: "_LineStyle | None", matrix: Any) -> None:
    style = style or _PLAIN
    raw["line_words"].append(0)
    raw["line_blocks"].append(block)
    raw["line_sizes"].append(_hundredths(style.size))
    raw["line_bold"].append(int(style.bold))
    raw["line_marked"].append(int(style.marked))
    raw["line_boxes"] += _box(style.box, matrix)


def _line_styles(page: dict[str, Any]) -> dict[tuple[int, int], "_LineStyle"]:
    """By block and line."""
    return {
        (block["number"], index): _style(line)
        for block in page["blocks"]
        for index, line in enumerate(block.get("lines", ()))
    }


class _LineStyle(NamedTuple):
    """A line's largest size, whether all its letters are bold, or all of them italic or coloured, and its box."""

    size: float
    bold: bool
    marked: bool
    box: Any


_PLAIN = _LineStyle(0.0, False, False, (0.0, 0.0, 0.0, 0.0))


def _style(line: dict[str, Any]) -> _LineStyle:
    spans = [span for span in line["spans"] if span["text"].strip()]
    size = max((span["size"] for span in spans), default=0.0)
    bold = bool(spans) and all(span["flags"] & _BOLD or span["char_flags"] & 8 for span in spans)
    marked = bool(spans) and all(span["flags"] & _ITALIC or _is_coloured(span["color"]) for span in spans)
    return _LineStyle(size, bold, marked, line["bbox"])


def _is_coloured(colour: int) -> bool:
    """Whether red, green and blue differ clearly; black, grey and white do not."""
    parts = colour >> 16 & 255, colour >> 8 & 255, colour & 255
    return max(parts) - min(parts) > _COLOURED


def _box(box: tuple[float, float, float, float], matrix: Any) -> list[int]:
    if matrix is not None:
        box = tuple(pymupdf.Rect(box) * matrix)
    return [_hundredths(value) for value in box]


def _hundredths(value: float) -> int:
    scaled = value * 100
    if not -_MAX_COORDINATE < scaled < _MAX_COORDINATE:  # also true of NaN
        return 0
    return round(scaled)


def _clean(text: str) -> str:
    """Lone surrogates cannot be stored as UTF-8; one character for one keeps all offsets."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _brief(text: str) -> str:
    return " ".join(_clean(text).split())[:200]


def _empty(number: int) -> RawPage:
    return RawPage(
        number=number,
        text="",
        label="",
        size=[0, 0],
        starts=[],
        ends=[],
        boxes=[],
        line_words=[],
        line_boxes=[],
        line_blocks=[],
        line_sizes=[],
        line_bold=[],
        line_marked=[],
        damaged=True,
    )
