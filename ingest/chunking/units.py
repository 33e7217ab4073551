"""Turns groups of rows into units: the pieces that chunks consist of and are never cut inside of.

A unit is a heading, a sentence, or one row of a table, under its heading path. Words hyphenated at the end of a row are
joined, and each part keeps its own place on the page. The head of a table that continues over pages is taken once.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ingest.chunking.sentences import sentence_lengths
from ingest.layout.headings import LONGEST, BodySize, Heading, nested
from ingest.layout.outline import Outline
from ingest.layout.paragraphs import BlockKind, Group, groups_of, is_deliberate_break
from ingest.layout.rows import Row
from ingest.layout.words import Known, LineWord, append_line, render
from ingest.tables.column_headings import TableHead

Offsets = Callable[[str], list[tuple[int, int]]]
"""Text -> character offsets of its tokens."""

_LABEL_WORDS = 12
"""Words of a paragraph: a longer one ends a table, a shorter one is a label in it. Chosen by eye."""
_LONGEST_SENTENCE = 4000
"""Words of a sentence whose end is waited for, over columns and pages; a longer one is cut. Chosen by eye."""
_REMEMBERED_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Unit:
    """A heading, sentence or table row. `weights` are the tokens of each piece, `tokens` their sum.

    `opens`: a paragraph or row begins here. `apart`: what is before it ended on a line with room left, which shows
    regardless of where a page ends.
    """

    kind: BlockKind
    pieces: list[LineWord]
    weights: list[int]
    tokens: int
    opens: bool
    apart: bool
    path: tuple[str, ...]
    columns: str = ""
    """The column headings, if it is in the middle of a table."""
    head: bool = False
    """Whether it is a column heading itself."""

    @property
    def introduces(self) -> bool:
        """Whether it ends in a colon and so introduces what follows."""
        return self.kind is BlockKind.SENTENCE and self.pieces[-1].text.endswith(":")


def units_of(
    pages: Iterable[tuple[list[Row], BodySize]], offsets: Offsets, outline: Outline | None = None
) -> Iterator[Unit]:
    """The units of the pages' rows in reading order."""
    outline = outline or Outline(())
    reader = _Reader(offsets, outline)
    for group in groups_of(pages, outline.flags):
        yield from reader.take(group)
    yield from reader.held_heads()


class _Reader:
    """State at the current position: the headings above, the table, the sentence that has not ended yet."""

    def __init__(self, offsets: Offsets, outline: Outline) -> None:
        self._offsets = offsets
        self._outline = outline
        self._known = known_words(offsets)
        self._path: tuple[Heading, ...] = ()
        self._names: tuple[str, ...] = ()
        self._title_size = 0.0
        self._table = TableHead()
        self._table_page = 0
        self._heads: list[list[LineWord]] = []
        self._after_heading = False
        self._open: list[LineWord] = []
        self._opens = False
        self._above: Row | None = None

    def take(self, group: Group) -> Iterator[Unit]:
        """Add a group; yields the units that it completes."""
        if group.kind is BlockKind.TABLE_ROW and group.rows[0].head:
            self._heads.append(self._joined(group.rows))
            self._after_heading = False
            self._above = None
            return
        yield from self.held_heads()
        if group.kind is BlockKind.SENTENCE:
            yield from self._sentences(group)
        elif group.kind is BlockKind.HEADING:
            yield self._heading(group.rows)
        else:
            pieces = self._joined(group.rows)
            self._table_page = pieces[0].page
            yield self._unit(BlockKind.TABLE_ROW, pieces, self._table.add(render(pieces)))
        self._after_heading = group.kind is BlockKind.HEADING
        self._above = group.rows[-1] if group.kind is BlockKind.SENTENCE else None

    def held_heads(self) -> Iterator[Unit]:
        """Yield the head of a table, unless it only repeats, on a further page, the head that the table already has."""
        if not self._heads:
            return
        heads, self._heads = self._heads, []
        texts = [render(pieces) for pieces in heads]
        if heads[0][0].page > self._table_page and self._table.is_headed_by(texts):
            return
        for pieces, text in zip(heads, texts, strict=True):
            yield self._unit(BlockKind.TABLE_ROW, pieces, self._table.add(text, head=True), head=True)

    def _heading(self, rows: list[Row]) -> Unit:
        pieces = self._joined(rows)
        text = " ".join(render(pieces).split())[:LONGEST]
        page = pieces[0].page
        heading = Heading(text, max(row.size for row in rows), rows[0].bold, self._outline.level(page, text))
        self._title_size = self._title_size or heading.size
        if _is_title(heading, page, self._title_size):
            self._path = ()
        else:
            at_once = self._after_heading and page > 1  # the lines of a title page are no hierarchy
            self._path = nested(self._path, heading, at_once=at_once)
        self._names = tuple(heading.text for heading in self._path)
        self._table = TableHead()
        return self._unit(BlockKind.HEADING, pieces)

    def _sentences(self, group: Group) -> Iterator[Unit]:
        """Yield a paragraph's sentences; the last one waits for the next part if the paragraph continues."""
        opens = self._opens or not self._open
        apart = opens and self._is_apart(group.rows[0])
        pieces = self._joined(group.rows, self._open)
        lengths = sentence_lengths([piece.text for piece in pieces])
        if len(pieces) > _LABEL_WORDS:
            self._table = TableHead()
        self._open, self._opens = [], False
        if group.more and lengths[-1] < _LONGEST_SENTENCE:
            self._open = pieces[len(pieces) - lengths.pop() :]
            self._opens = opens and not lengths
        weights = _weights(pieces, self._offsets)
        begin = 0
        for length in lengths:
            end = begin + length
            part = weights[begin:end]
            yield Unit(BlockKind.SENTENCE, pieces[begin:end], part, sum(part), opens, apart, self._names)
            begin, opens, apart = end, False, False

    def _unit(self, kind: BlockKind, pieces: list[LineWord], columns: str = "", *, head: bool = False) -> Unit:
        weights = _weights(pieces, self._offsets)
        return Unit(kind, pieces, weights, sum(weights), True, True, self._names, columns, head)

    def _is_apart(self, row: Row) -> bool:
        above = self._above
        return above is None or row.is_item or is_deliberate_break(above, row)

    def _joined(self, rows: list[Row], begun: list[LineWord] | None = None) -> list[LineWord]:
        """The rows' words in one run, with hyphenation undone; appended to `begun` if given."""
        pieces = begun or []
        for row in rows:
            append_line(pieces, row.pieces(), self._known)
        return pieces


def known_words(offsets: Offsets) -> Known:
    """A test for whole words of the embedding model's vocabulary; recent answers are cached."""
    found: dict[str, bool] = {}

    def known(word: str) -> bool:
        if word not in found:
            if len(found) >= _REMEMBERED_WORDS:
                found.clear()
            found[word] = len(offsets(word)) == 1
        return found[word]

    return known


def _is_title(heading: Heading, page: int, largest: float) -> bool:
    """Whether it is the document's title on page 1: above everything, it says nothing about a passage."""
    return page == 1 and heading.size >= largest and heading.level is None


def _weights(pieces: list[LineWord], offsets: Offsets) -> list[int]:
    """The tokens of each piece within the text of all pieces."""
    begins = [begin for begin, _ in offsets(render(pieces))]
    ends = accumulate((len(piece.gap) + len(piece.text) for piece in pieces), initial=-len(pieces[0].gap))
    reached = [bisect_left(begins, end) for end in ends]
    return [reached_here - before for before, reached_here in pairwise(reached)]
