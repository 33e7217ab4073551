"""Finds which rows are headings, and how they nest. Pure.

A heading is larger than the body text, or wholly bold where the body is not, or announces itself ("Note 2 — Revenue").
It is short, and no sentence. A larger heading contains a smaller one; at equal size numbering decides (part, item,
note, 1.2), then capitals. The body's size is the one that most characters of prose have had so far, with a look ahead
(see `chunking.chunker`), so the same pages always give the same headings.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from ingest.layout.rows import Row

MAX_DEPTH = 6
LONGEST = 160
"""Characters of a heading that are kept in the path."""

# Chosen by eye; held by the expectations of benchmarks/reading.
_LARGER = 1.12  # times the body's size, from which a row is larger
_SMALLER = 0.95  # times a size, below which another one is smaller
_MOST_WORDS = 22  # in a heading
_LEAST_LETTERS = 3  # in a heading
_PROSE_WORDS = 6  # from which a row counts as prose
_MARKED_WORDS = 10  # in a heading that only italics or colour set apart
_SHORT_WORD = 3  # letters up to which a word of such a heading needs no capital
_NEAR = 0.7  # of a row's height, up to which the gap to the next one is that of one paragraph
_CONTENTS_ROWS = 5  # with page numbers, from which a page is a table of contents
_CONTENTS_SHARE = 0.5  # of all rows
_NUMBERED = (
    (re.compile(r"(?:part|book|volume)\s+(?:[ivx]+|\d+|[a-z])\b", re.IGNORECASE), 0),
    (re.compile(r"(?:item|chapter|article|appendix|annex|schedule)\s+(?:[ivx]+|\d+[a-z]?|[a-z])\b", re.IGNORECASE), 1),
    (re.compile(r"(?:section|note|exhibit|step)\s+(?:\d+|[a-z])\b", re.IGNORECASE), 2),
    (re.compile(r"\d{1,2}[.)]?\s+\D"), 2),
    (re.compile(r"\d{1,2}\.\d{1,2}[.)]?\s"), 3),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{1,2}[.)]?\s"), 4),
)
_NUMBER_CELL = re.compile(
    r"(?:(?:part|item|note|section|chapter|article|appendix)\s+)?[\dIVXA-Z]{1,4}(?:\.\d+)*\s?[.:)]?", re.I
)
_SECTION = re.compile(r"\d{1,2}(?:\.\d{1,2})+\.?")
_ANNOUNCED = re.compile(
    r"(?:part|item|note|section|chapter|article|appendix|annex|schedule)\s+[\dIVXA-Z]{1,4}[a-z]?\s?(?:[:—–]|[.-]\s)\s?\S",
    re.I,
)
_SENTENCE_ENDS = (".", ",", ";", ":", "?", "!")


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading in a heading path."""

    text: str
    size: float
    bold: bool
    bookmark: int | None = None
    """Its level in the document's bookmarks, None if they do not name it."""

    @property
    def level(self) -> int | None:
        """Rank of its numbering, from 0, the outermost; None without any.

        >>> Heading("Item 2. Properties", 10, True).level, Heading("3.1 Scope", 10, True).level
        (1, 3)
        """
        return next((level for pattern, level in reversed(_NUMBERED) if pattern.match(self.text)), None)


class BodySize:
    """The font size that most prose has had so far."""

    def __init__(self) -> None:
        self._characters: Counter[float] = Counter()
        self._bold: Counter[bool] = Counter()
        self._marked: Counter[bool] = Counter()

    def add(self, rows: Iterable[Row]) -> None:
        """Count the rows of a page."""
        for row in rows:
            if not row.is_table and len(row.cells[0].pieces) >= _PROSE_WORDS:
                length = sum(len(piece.text) for piece in row.cells[0].pieces)
                self._characters[round(row.size, 1)] += length
                self._bold[row.bold] += length
                self._marked[row.marked] += length

    @property
    def points(self) -> float:
        """The size in points; 0 while there was no prose; of equally common ones the smaller."""
        return max(self._characters, key=lambda size: (self._characters[size], -size), default=0.0)

    @property
    def bold(self) -> bool:
        """Whether most of it is bold."""
        return self._bold[True] > self._bold[False]

    @property
    def marked(self) -> bool:
        """Whether most of it is italic or coloured."""
        return self._marked[True] > self._marked[False]


def heading_flags(rows: list[Row], body: BodySize) -> list[bool]:
    """Whether each row of a page is a heading; none is on a page that is a table of contents."""
    if is_contents(rows):
        return [False] * len(rows)
    return [
        _looks_alone(row, body)
        and not _begins_paragraph(row, rows[index + 1 : index + 2])
        and not _is_inside_paragraph(row, rows[index - 1 : index] if index else [], body)
        and not _labels_table(row, rows[index - 1 : index] if index else [], rows[index + 1 : index + 2], body)
        for index, row in enumerate(rows)
    ]


def announces_itself(text: str) -> bool:
    """Whether it begins like "Item 2. …" or "Note 7 — …"."""
    return _ANNOUNCED.match(text) is not None


def is_contents(rows: list[Row]) -> bool:
    """Whether a page is a table of contents: most of its rows end in page numbers that never decrease."""
    numbers = [int(last) for row in rows if row.is_table and (last := row.cells[-1].pieces[-1].text).isdecimal()]
    rising = all(number <= following for number, following in pairwise(numbers))
    return rising and len(numbers) >= max(_CONTENTS_ROWS, _CONTENTS_SHARE * len(rows)) and numbers[-1] > numbers[0]


def _looks_alone(row: Row, body: BodySize) -> bool:
    """Whether a row could be a heading, regardless of its neighbours."""
    if row.head or (row.is_table and not _is_numbered_pair(row)):
        return False
    words = [piece.text for cell in row.cells for piece in cell.pieces]
    text = " ".join(words)
    if len(words) > _MOST_WORDS or text.endswith(_SENTENCE_ENDS) or text[0].islower() or text[0] in "([":
        return False
    stands_out = _is_larger(row, body) or announces_itself(text) or _is_set_apart(row, words, body)
    return stands_out and sum(map(str.isalpha, text)) >= _LEAST_LETTERS


def _is_set_apart(row: Row, words: list[str], body: BodySize) -> bool:
    """Whether it has the body's size and is bold, italic or coloured where the body is not."""
    if row.size < body.points * _SMALLER or (row.is_table and not _SECTION.fullmatch(row.cells[0].pieces[0].text)):
        return False
    return (row.bold and not body.bold) or (row.marked and not body.marked and _is_titled(words))


def _is_titled(words: list[str]) -> bool:
    """Whether it has few words, of which the longer ones begin with a capital or a number."""
    return len(words) <= _MARKED_WORDS and all(not word[0].islower() for word in words if len(word) > _SHORT_WORD)


def _is_larger(row: Row, body: BodySize) -> bool:
    return 0 < body.points * _LARGER <= row.size


def _begins_paragraph(row: Row, following: list[Row]) -> bool:
    """Whether the next row continues it in small letters as the same text."""
    for below in following:
        alike = abs(below.size - row.size) <= 0.05 * row.size and below.bold == row.bold and not below.is_table
        near = below.y0 - row.y0 >= 0 and below.y0 - row.bottom <= _NEAR * row.height
        return alike and near and below.cells[0].pieces[0].text[0].islower() and len(row.pieces()) >= _PROSE_WORDS
    return False


def _is_inside_paragraph(row: Row, before: list[Row], body: BodySize) -> bool:
    """Whether it is a line in the middle of a paragraph whose first words only look like a heading's."""
    if not before or row.bold or _is_larger(row, body):
        return False
    above = before[0]
    return above.block == row.block and above.size == row.size and 0 <= row.y0 - above.y0 <= (1 + _NEAR) * row.height


def _labels_table(row: Row, before: list[Row], following: list[Row], body: BodySize) -> bool:
    """Whether it is bold only because it labels rows or columns of a table."""
    if _is_larger(row, body) or not (following and following[0].is_table):
        return False
    if before and before[0].is_table and 0 <= row.y0 - before[0].bottom <= _NEAR * row.height:
        return True
    return (
        row.x0 > following[0].x0 + _SMALLER * (following[0].x1 - following[0].x0) / 2 and row.x1 > following[0].x1 * 0.8
    )


def nested(path: tuple[Heading, ...], heading: Heading, *, at_once: bool = False) -> tuple[Heading, ...]:
    """The heading path after `heading`: what contains it stays, what it ends goes.

    A heading that follows another `at_once`, with nothing between them, is contained in it if it is no larger.
    """
    if at_once and path and path[-1].level is None is heading.level and heading.size <= path[-1].size * _LARGER:
        return (*path, heading)[-MAX_DEPTH:]
    while path and not _contains(path[-1], heading):
        path = path[:-1]
    return (*path, heading)[-MAX_DEPTH:]


def _contains(outer: Heading, inner: Heading) -> bool:
    outer_level, inner_level = outer.level, inner.level
    if outer.bookmark is not None and inner.bookmark is not None:
        return outer.bookmark < inner.bookmark
    if inner_level is not None and outer_level is not None and min(inner_level, outer_level) <= 1:
        return outer_level < inner_level
    if inner_level is not None and inner_level <= 1:
        return False
    if outer_level is not None and outer_level <= 1:
        return True
    if inner.size < outer.size * _SMALLER or outer.size < inner.size * _SMALLER:
        return inner.size < outer.size
    if inner_level is not None and outer_level is not None:
        return outer_level < inner_level
    if inner_level is not None or outer_level is not None:
        return outer_level is not None
    if outer.text.isupper() != inner.text.isupper():
        return outer.text.isupper()
    return outer.bold and not inner.bold


def _is_numbered_pair(row: Row) -> bool:
    """Whether a row is a heading's number and its text, set apart by a wide gap."""
    if len(row.cells) != 2:
        return False
    number, title = row.cells
    return (
        _NUMBER_CELL.fullmatch(" ".join(piece.text for piece in number.pieces)) is not None
        and title.has_letters
        and title.pieces[0].text[0].isupper()
    )
