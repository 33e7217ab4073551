"""Turns what a child sent into Page and DocumentInfo, trusting nothing.

Rule: every field is checked for type, range and size before it is used. Anything invalid raises ProtocolError, which
`parsing.extraction` turns into ParserCrashed.
"""

from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.protocol.frames import FLOATS, INTEGERS, ProtocolError
from ingest.protocol.info_fields import date_of, language_of
from ingest.sandbox.limits import Limits
from ingest.types import Bookmark, Box, DocumentInfo, Line, Page, Source, Word, made_of

DAMAGED = "it is damaged and could not be read, or only in part"
TITLE_CHARACTERS = 1000
BOOKMARK_CHARACTERS = 300
SHORT_CHARACTERS = 64
"""Longest text of a date or a language."""

# Hundredths of a point, and numbers of blocks and levels, beyond those of any page.
_FAR = 100_000_000
_MANY = 1_000_000


def decode_info(message: Mapping[str, object], limits: Limits) -> DocumentInfo:
    """Decode what the document says about itself. Raises ProtocolError."""
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
    """Decode page `number`. Raises ProtocolError, also if the message is about another page."""
    _integer(message, "number", number, number)
    text = _text(message, "text", limits.page_characters)
    width, height = _integers(message, "size", 2, 0, _FAR).tolist()
    words = _words(message, len(text), limits)
    lines = _lines(message, words)
    damaged, scanned = _flag(message, "damaged"), _flag(message, "scanned")
    source: Source = "skipped" if scanned or (damaged and not words) else "text" if words else "empty"
    warning = DAMAGED if damaged else ""
    return Page(number, text, width / 100, height / 100, lines, _text(message, "label", 64), source, warning)


def decode_picture_size(message: Mapping[str, object], limits: Limits) -> tuple[int, int, int] | None:
    """Width and height in pixels and dots per inch of the scan picture after a page's message; None if none follows.

    Raises ProtocolError.
    """
    sizes = _integers(message, "picture", None, 1, limits.picture_pixels).tolist()
    if not sizes:
        return None
    if len(sizes) != 3:
        raise ProtocolError("picture: not width, height and dots per inch")
    width, height, dpi = sizes
    if width * height > limits.picture_pixels:
        raise ProtocolError("a picture over the limit")
    return width, height, dpi


def decode_certainty(message: Mapping[str, object]) -> tuple[int, int]:
    """The clockwise quarter turns applied before recognising a page, and the confidence in its words, of 100.

    Raises ProtocolError.
    """
    return _integer(message, "turned", 0, 3), _integer(message, "confidence", 0, 100)


def _outline(message: Mapping[str, object], pages: int, limits: Limits) -> tuple[Bookmark, ...]:
    titles = message.get("outline_titles")
    if not isinstance(titles, list) or len(titles) > limits.bookmarks:
        raise ProtocolError("outline_titles: not a list of the right length")
    texts = [_text({"title": title}, "title", BOOKMARK_CHARACTERS) for title in titles]
    levels = _integers(message, "outline_levels", len(texts), 1, _MANY).tolist()
    targets = _integers(message, "outline_pages", len(texts), 0, pages).tolist()
    return tuple(Bookmark(level, text, page) for level, text, page in zip(levels, texts, targets, strict=True))


def _words(message: Mapping[str, object], length: int, limits: Limits) -> list[Word]:
    starts = _integers(message, "starts", None, 0, length)
    if len(starts) > limits.page_words:
        raise ProtocolError("too many words")
    ends = _integers(message, "ends", len(starts), 0, length)
    if (ends <= starts).any():
        raise ProtocolError("a word without characters")
    if (starts[1:] < ends[:-1]).any():
        raise ProtocolError("words overlap")
    boxes = _boxes(message, "boxes", len(starts))
    return made_of(Word, zip(starts.tolist(), ends.tolist(), boxes, strict=True))


def _lines(message: Mapping[str, object], words: list[Word]) -> tuple[Line, ...]:
    counts = _integers(message, "line_words", None, 1, len(words))
    boxes = _boxes(message, "line_boxes", len(counts))
    blocks = _integers(message, "line_blocks", len(counts), 0, _MANY).tolist()
    sizes = (_integers(message, "line_sizes", len(counts), 0, _MANY) / 100).tolist()
    bold = _integers(message, "line_bold", len(counts), 0, 1).astype(bool).tolist()
    marked = _integers(message, "line_marked", len(counts), 0, 1).astype(bool).tolist()
    bounds = [0, *np.cumsum(counts).tolist()]
    if bounds[-1] != len(words):
        raise ProtocolError("the lines' words are not the page's words")
    return tuple(
        Line(tuple(words[first:last]), box, block, size, heavy, mark)
        for (first, last), box, block, size, heavy, mark in zip(
            pairwise(bounds), boxes, blocks, sizes, bold, marked, strict=True
        )
    )


def _boxes(message: Mapping[str, object], key: str, count: int) -> Iterator[Box]:
    """Boxes rounded to hundredths of a point; a coordinate that no page can have, NaN included, becomes 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = 100 * _column(message, key, FLOATS, 4 * count)
    scaled[~(np.abs(scaled) < _FAR)] = 0.0
    rounded = np.rint(scaled) / 100 + 0.0  # turns -0.0 into 0.0
    return zip(*rounded.reshape(-1, 4).T.tolist(), strict=True)


def _integers(message: Mapping[str, object], key: str, length: int | None, low: int, high: int) -> NDArray[Any]:
    values = _column(message, key, INTEGERS, length)
    if len(values) and not low <= values.min() <= values.max() <= high:
        raise ProtocolError(f"{key}: out of range")
    return values


def _column(message: Mapping[str, object], key: str, kind: str, length: int | None) -> NDArray[Any]:
    values = message.get(key)
    if not isinstance(values, array) or values.typecode != kind:
        raise ProtocolError(f"{key}: not a column of the right kind")
    if length is not None and len(values) != length:
        raise ProtocolError(f"{key}: not of the right length")
    return np.asarray(values)


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
