"""Rows -> units: the pieces a chunk is built from and is never cut inside of, each under its heading path.

A unit is a heading, a sentence, or one row of a table. A paragraph goes on over columns and pages until its sentence
ends; words hyphenated at the end of a row are joined, each part keeping its own place on the page.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from ingest.columns import TableHead
from ingest.headings import LONGEST, BodySize, Heading, heading_flags, nested
from ingest.pieces import Piece, append_line, render
from ingest.rows import Row
from ingest.sentences import sentence_lengths
from ingest.tidy import ITEM

Offsets = Callable[[str], list[tuple[int, int]]]
"""Text -> character offsets of its tokens."""

_SAME_SIZE = 0.1
_PARAGRAPH_GAP = 0.75
_BLOCK_GAP = 0.3
_HEADING_GAP = 0.7
_HEADING_ROWS = 3
_LABEL_WORDS = 12
"""A longer paragraph ends a table, a shorter one is a label in it."""
_TERMINAL = (".", "!", "?", ":", ";", "…", "。", ".”", '."', "?”", "!”", ".)", ".’")


class Kind(Enum):
    """What a unit is."""

    HEADING = 1
    SENTENCE = 2
    TABLE_ROW = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """`weights` are the tokens of each piece, `tokens` their sum; `opens` tells that a paragraph or row begins here."""

    kind: Kind
    pieces: list[Piece]
    weights: list[int]
    tokens: int
    opens: bool
    path: tuple[str, ...]
    columns: str = ""
    """What heads the columns of the table it stands in the middle of."""
    head: bool = False
    """Whether it heads columns itself."""


def units_of(pages: Iterable[tuple[list[Row], BodySize]], offsets: Offsets) -> Iterator[Unit]:
    """Units of the pages' rows in reading order."""
    path: tuple[Heading, ...] = ()
    title_size = 0.0
    table = TableHead()
    at_once = False
    for rows, kind in _grouped(pages):
        names = tuple(heading.text for heading in path)
        if kind is Kind.SENTENCE:
            units = list(_sentences(rows, names, offsets))
            if sum(len(unit.pieces) for unit in units) > _LABEL_WORDS:
                table = TableHead()
            yield from units
            at_once = False
            continue
        pieces = _joined(rows)
        if kind is Kind.HEADING:
            heading = Heading(" ".join(render(pieces).split())[:LONGEST], max(row.size for row in rows), rows[0].bold)
            title_size = title_size or heading.size
            first = pieces[0].page == 1  # a title page is no hierarchy
            path = (
                ()
                if _is_title(heading, pieces[0].page, title_size)
                else nested(path, heading, at_once=at_once and not first)
            )
            names = tuple(heading.text for heading in path)
            table = TableHead()
        head = rows[0].head
        at_once = kind is Kind.HEADING
        columns = table.add(render(pieces), head=head) if kind is Kind.TABLE_ROW else ""
        weights = _weights(pieces, offsets)
        yield Unit(kind, pieces, weights, sum(weights), True, names, columns, head)


def _is_title(heading: Heading, page: int, largest: float) -> bool:
    """The document's title on its first page holds everything, and so says nothing about a passage."""
    return page == 1 and heading.size >= largest and heading.level is None


def _grouped(pages: Iterable[tuple[list[Row], BodySize]]) -> Iterator[tuple[list[Row], Kind]]:
    """Rows that belong together: a paragraph's, a heading's, one row of a table."""
    group: list[Row] = []
    last = Kind.SENTENCE
    for rows, body in pages:
        for row, kind in zip(rows, _kinds(rows, body), strict=True):
            if group and not (kind is last and _continues(group, row, kind)):
                yield group, last
                group = []
            group.append(row)
            last = kind
    if group:
        yield group, last


def _kinds(rows: list[Row], body: BodySize) -> list[Kind]:
    return [
        Kind.HEADING if flag else Kind.TABLE_ROW if row.is_table or row.head else Kind.SENTENCE
        for row, flag in zip(rows, heading_flags(rows, body), strict=True)
    ]


def _continues(group: list[Row], row: Row, kind: Kind) -> bool:
    """Whether a row goes on with the paragraph or heading of the rows before it."""
    above = group[-1]
    same_size = abs(above.size - row.size) <= _SAME_SIZE * max(above.size, row.size)
    if kind is Kind.TABLE_ROW or row.is_item or not same_size:
        return False
    first, last = row.cells[0].pieces[0], above.cells[-1].pieces[-1]
    below = first.page == last.page and row.y0 >= above.y0
    gap = row.y0 - above.bottom
    if kind is Kind.HEADING:
        return (
            below
            and gap <= _HEADING_GAP * row.height
            and above.bold == row.bold
            and len(group) < _HEADING_ROWS
            and above.text().isupper() == row.text().isupper()
            and not row.is_table
            and not _is_deliberate_break(above, row)
        )
    if last.text.endswith(":") and first.text[0].isupper():
        return False
    unfinished = not last.text.endswith(_TERMINAL)
    if not below:  # the next column or page
        return unfinished and (_starts_small(first.text) or above.block != row.block)
    if unfinished and _starts_small(first.text):
        return gap <= 2 * _PARAGRAPH_GAP * row.height
    if _is_deliberate_break(above, row) or (above.block != row.block and gap > _BLOCK_GAP * row.height):
        return False
    return gap <= _PARAGRAPH_GAP * row.height


def _starts_small(word: str) -> bool:
    """Whether it begins with a small letter, behind brackets and quotes."""
    return word.lstrip("([\"'“‘«")[:1].islower()


def _is_deliberate_break(above: Row, row: Row) -> bool:
    """A list item, or a line that ended although the next word had room on it."""
    first = row.cells[0].pieces[0]
    if ITEM.fullmatch(first.text) and len(row.cells[0].pieces) > 1:
        return True
    width = first.box[2] - first.box[0] + 0.3 * row.size
    return not _starts_small(first.text) and above.x1 + width + row.size < above.right


def _sentences(rows: list[Row], path: tuple[str, ...], offsets: Offsets) -> Iterator[Unit]:
    pieces = _joined(rows)
    weights = _weights(pieces, offsets)
    begin = 0
    for length in sentence_lengths([piece.text for piece in pieces]):
        end = begin + length
        part = weights[begin:end]
        yield Unit(Kind.SENTENCE, pieces[begin:end], part, sum(part), begin == 0, path)
        begin = end


def _joined(rows: list[Row]) -> list[Piece]:
    """The rows' words in one run, hyphenation undone."""
    pieces = rows[0].pieces()
    for row in rows[1:]:
        append_line(pieces, row.pieces())
    return pieces


def _weights(pieces: list[Piece], offsets: Offsets) -> list[int]:
    """Tokens of each piece in the text of all."""
    weights = [0] * len(pieces)
    tokens = iter(offsets(render(pieces)))
    begin, _ = next(tokens, (None, None))
    end = -len(pieces[0].gap)
    for index, piece in enumerate(pieces):
        end += len(piece.gap) + len(piece.text)
        while begin is not None and begin < end:
            weights[index] += 1
            begin, _ = next(tokens, (None, None))
    return weights
