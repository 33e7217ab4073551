"""Joins the parser's lines into rows as a reader sees them. Pure.

A parser's line ends at every wide gap, so the row of a table arrives as one line for each cell. Here cells of one
height that follow each other in reading order become one `Row`; `row_repair` then repairs what remains. The order is
the parser's own: only neighbours in it are joined, so the columns of a page of prose never mix.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from ingest.layout.normalisation import normalised
from ingest.layout.words import LineWord, render
from ingest.types import Line, Page, made_of

CELL_GAP = "  "
# Chosen by eye; held by the expectations of benchmarks/reading.
_SAME_ROW_OVERLAP = 0.5  # of the smaller height
_SIDEWAYS = 3.0  # times the height of another line, from which text runs sideways
_SAME_CELL_GAP = 0.6  # in font sizes
_CURRENCIES = frozenset("$€£¥")
_LABELS_BEFORE = _CURRENCIES | {"("}
_NUMBER_ENDS = frozenset("0123456789)%—–-")
_LABELS_AFTER = frozenset((")", "%", ")%"))


@dataclass(slots=True)
class Cell:
    """Words of one row without a wide gap between them; edges in points."""

    pieces: list[LineWord]
    x0: float
    x1: float

    @property
    def has_letters(self) -> bool:
        """Whether it holds words, not only numbers and marks."""
        return any(c.isalpha() for piece in self.pieces for c in piece.text)


@dataclass(slots=True)
class Row:
    """Cells side by side; `y0` and `y1` are its upper and lower edge, `size` its largest font size, in points."""

    cells: list[Cell]
    y0: float
    y1: float
    size: float
    bold: bool
    block: int
    is_item: bool = False
    """Whether it begins a list item; the bullet itself has been removed."""
    left: float = 0.0
    """Left edge of the lines in its column."""
    right: float = 0.0
    """Right edge of the lines in its column."""
    marked: bool = False
    """Whether all of it is italic or coloured."""
    head: bool = False
    """Whether it heads the columns of a table."""
    bottom: float = field(init=False)
    """Lower edge of the last wrapped line in it."""

    def __post_init__(self) -> None:
        self.bottom = self.y1

    @property
    def x0(self) -> float:
        return min(cell.x0 for cell in self.cells)

    @property
    def x1(self) -> float:
        return max(cell.x1 for cell in self.cells)

    @property
    def height(self) -> float:
        """Height of its first line, in points."""
        return self.y1 - self.y0

    @property
    def is_table(self) -> bool:
        return len(self.cells) > 1

    def pieces(self) -> list[LineWord]:
        """All words; cells are separated by two spaces, a mark for the reader that costs no token."""
        found: list[LineWord] = []
        for cell in self.cells:
            first, *others = cell.pieces
            found.append(first._replace(gap=_gap(found, first)) if found else first)
            found += others
        return found

    def text(self) -> str:
        """The row as one line of text."""
        return render(self.pieces())


def rows_of(page: Page, dropped: frozenset[int] = frozenset()) -> list[Row]:
    """The rows of a page in reading order, without the lines whose indices are in `dropped`."""
    rows: list[Row] = []
    last: Line | None = None
    for index, line in enumerate(page.lines):
        if index in dropped:
            continue
        for cell in _cells(page, line):
            _place(rows, cell, line, last)
            last = line
    return rows


def vertical_overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Shared height as a share of the smaller height.

    0 where text runs sideways past lines of the usual height.
    """
    smaller, larger = sorted((one[1] - one[0], other[1] - other[0]))
    if smaller <= 0 or larger > _SIDEWAYS * smaller:
        return 0.0
    return (min(one[1], other[1]) - max(one[0], other[0])) / smaller


def _cells(page: Page, line: Line) -> list[Cell]:
    """A line's words: one cell, or one more for each amount whose currency sign is at the end of the one before."""
    text, number = page.text, page.number
    readable = [normalised(text[start:end]) for start, end, _ in line.words]
    pieces = made_of(
        LineWord,
        ((word, " ", number, *source) for word, source in zip(readable, line.words, strict=True) if word),
    )
    if not pieces:
        return []
    borders = [
        index
        for index, word in enumerate(pieces)
        if word.text in _CURRENCIES and index and pieces[index - 1].text[-1] in _NUMBER_ENDS
    ]
    runs = [pieces[begin:end] for begin, end in pairwise([0, *borders, len(pieces)])]
    if len(runs) == 1:
        return [Cell(runs[0], line.box[0], line.box[2])]
    return [Cell(run, run[0].box[0], run[-1].box[2]) for run in runs]


def _place(rows: list[Row], cell: Cell, line: Line, last: Line | None) -> None:
    """Add a line's words to the row they are in, or start a new row."""
    y0, y1 = line.box[1], line.box[3]
    # Column headings on two lines arrive column by column, down and then up again, in one block of the parser's.
    goes_up = last is not None and last.block == line.block and y0 < last.box[1]
    candidates = rows[-1:] + (rows[-2:-1] if goes_up else [])
    for row in candidates:
        beside = cell.x0 >= row.x1 - 1 or cell.x1 <= row.x0 + 1
        if beside and vertical_overlap((row.y0, row.y1), (y0, y1)) >= _SAME_ROW_OVERLAP:
            _extend(row, cell, line)
            return
    rows.append(Row([cell], y0, y1, line.size, line.bold, line.block, marked=line.marked))


def _extend(row: Row, cell: Cell, line: Line) -> None:
    last = row.cells[-1]
    new_amount = len(cell.pieces) == 1 and cell.pieces[0].text in _CURRENCIES
    if not new_amount and 0 <= cell.x0 - last.x1 + 1 <= _SAME_CELL_GAP * line.size + 1:
        touching = cell.x0 - last.x1 < 0.1 * line.size
        first, *others = cell.pieces
        last.pieces += [first._replace(gap="") if touching else first, *others]
        last.x1 = cell.x1
    else:
        row.cells.append(cell)
    row.y0, row.y1 = min(row.y0, line.box[1]), max(row.y1, line.box[3])
    row.bottom = max(row.bottom, row.y1)
    row.size = max(row.size, line.size)
    row.bold = row.bold and line.bold
    row.marked = row.marked and line.marked


def _gap(before: list[LineWord], first: LineWord) -> str:
    """The gap before a cell: none for a currency sign or closing bracket that belongs to the number beside it."""
    if before[-1].text in _LABELS_BEFORE or (first.text in _LABELS_AFTER and before[-1].text[-1] in _NUMBER_ENDS):
        return ""
    return CELL_GAP
