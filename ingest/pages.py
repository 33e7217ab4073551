"""What the parser's process sent -> Page and DocumentInfo, trusting nothing.

Rule: every field is checked for type, range and size before it is used; anything odd raises ProtocolError, which
the sandbox turns into ParserCrashed.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from ingest.frames import ProtocolError
from ingest.limits import Limits
from ingest.metadata import date_of, language_of
from ingest.types import Bookmark, DocumentInfo, Line, Page, Source, Word, made_of

DAMAGED = "it is damaged and could not be read, or not to its end"
TITLE_CHARACTERS = 1000
BOOKMARK_CHARACTERS = 300
SHORT_CHARACTERS = 64
"""Of a date or a language."""

_FAR = 100_000_000
_MANY = 1_000_000


def decode_info(message: Mapping[str, object], limits: Limits) -> DocumentInfo:
    """The document's facts. Raises ProtocolError."""
    pages = _integer(message, "pages", 1, limits.pages)
    return DocumentInfo(
        pages,
        _text(message, "title", TITLE_CHARACTERS),
        author=_text(message, "author", TITLE_CHARACTERS),
        created=date_of(_text(message, "created", SHORT_CHARACTERS)),
        modified=date_of(_text(message, "modified", SHORT_CHARACTERS)),
        language=language_of(_text(message, "language", SHORT_CHARACTERS)),
        outline=_outline(message, pages, limits),
    )


def decode_page(message: Mapping[str, object], number: int, limits: Limits) -> Page:
    """Page `number`. Raises ProtocolError, also when it is another page."""
    _integer(message, "number", number, number)
    text = _text(message, "text", limits.page_characters)
    width, height = _column(message, "size", 2, 0, _FAR)
    words = _words(message, len(text), limits)
    lines = _lines(message, words)
    damaged, scanned = _flag(message, "damaged"), _flag(message, "scanned")
    source: Source = "skipped" if scanned or (damaged and not words) else "text" if words else "empty"
    warning = DAMAGED if damaged else ""
    return Page(number, text, width / 100, height / 100, lines, _text(message, "label", 64), source, warning)


def decode_picture_size(message: Mapping[str, object], limits: Limits) -> tuple[int, int, int] | None:
    """Width, height and dots per inch of the picture that follows a page's message; None where none follows."""
    if message.get("picture") is None:
        return None
    width, height, dpi = _column(message, "picture", 3, 1, limits.picture_pixels)
    if width * height > limits.picture_pixels:
        raise ProtocolError("a picture over the limit")
    return width, height, dpi


def _outline(message: Mapping[str, object], pages: int, limits: Limits) -> tuple[Bookmark, ...]:
    titles = message.get("outline_titles")
    if not isinstance(titles, list) or len(titles) > limits.bookmarks:
        raise ProtocolError("outline_titles: not a list of the right length")
    texts = [_text({"title": title}, "title", BOOKMARK_CHARACTERS) for title in titles]
    levels = _column(message, "outline_levels", len(texts), 1, _MANY)
    targets = _column(message, "outline_pages", len(texts), 0, pages)
    return tuple(Bookmark(level, text, page) for level, text, page in zip(levels, texts, targets, strict=True))


def _words(message: Mapping[str, object], length: int, limits: Limits) -> list[Word]:
    starts = _column(message, "starts", None, 0, length)
    if len(starts) > limits.page_words:
        raise ProtocolError("too many words")
    ends = _column(message, "ends", len(starts), 0, length)
    if any(end <= start for start, end in zip(starts, ends, strict=True)):
        raise ProtocolError("a word without characters")
    if any(start < end for end, start in zip(ends, starts[1:], strict=False)):
        raise ProtocolError("words overlap")
    boxes = _boxes(message, "boxes", len(starts))
    return made_of(Word, zip(starts, ends, boxes, strict=True))


def _lines(message: Mapping[str, object], words: list[Word]) -> tuple[Line, ...]:
    counts = _column(message, "line_words", None, 1, len(words))
    boxes = _boxes(message, "line_boxes", len(counts))
    blocks = _column(message, "line_blocks", len(counts), 0, _MANY)
    sizes = _column(message, "line_sizes", len(counts), 0, _MANY)
    bold = _column(message, "line_bold", len(counts), 0, 1)
    marked = _column(message, "line_marked", len(counts), 0, 1)
    if sum(counts) != len(words):
        raise ProtocolError("the lines' words are not the page's words")
    bounds = np.cumsum([0, *counts]).tolist()
    return tuple(
        Line(tuple(words[first:last]), box, block, size / 100, bool(heavy), bool(mark))
        for (first, last), box, block, size, heavy, mark in zip(
            pairwise(bounds), boxes, blocks, sizes, bold, marked, strict=True
        )
    )


def _boxes(message: Mapping[str, object], key: str, count: int) -> list[tuple[float, float, float, float]]:
    values = _column(message, key, 4 * count, -_FAR, _FAR)
    floats = (np.array(values, dtype=np.float64) / 100).tolist()
    return list(zip(floats[0::4], floats[1::4], floats[2::4], floats[3::4], strict=True))


def _column(message: Mapping[str, object], key: str, length: int | None, low: int, high: int) -> list[int]:
    values = message.get(key)
    if not isinstance(values, list) or (length is not None and len(values) != length):
        raise ProtocolError(f"{key}: not a list of the right length")
    if not values:
        return values
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"{key}: not numbers") from error
    if array.dtype != np.int64 or array.ndim != 1:
        raise ProtocolError(f"{key}: not integers")
    if array.min() < low or array.max() > high:
        raise ProtocolError(f"{key}: out of range")
    return values


def _flag(message: Mapping[str, object], key: str) -> bool:
    value = message.get(key)
    if type(value) is not bool:
        raise ProtocolError(f"{key}: neither true nor false")
    return value


def _integer(message: Mapping[str, object], key: str, low: int, high: int) -> int:
    value = message.get(key)
    if type(value) is not int or not low <= value <= high:
        raise ProtocolError(f"{key}: not an integer from {low} to {high}")
    return value


def _text(message: Mapping[str, object], key: str, longest: int) -> str:
    value = message.get(key)
    if not isinstance(value, str) or len(value) > longest:
        raise ProtocolError(f"{key}: not a text of at most {longest} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ProtocolError(f"{key}: not Unicode") from error
    return value
