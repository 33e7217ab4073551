"""Joins the lines that head the columns of a table, in any order and number, into one row for each storey. Pure.

Lines closely below each other over the same columns are one heading; headings side by side are a storey.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.layout.rows import Cell, Row
from ingest.layout.words import append_line

# Chosen by eye; held by the expectations of benchmarks/reading (see "Tables from the words' geometry" in
# docs/decisions.md).
_LEFT_SLACK = 6.0  # points by which a heading may begin before its columns
_RIGHT_SLACK = 24.0  # points by which it may end after them
_SAME_CELL_GAP = 0.45  # between lines of one heading, in font sizes
_SPANNING_GAP = 0.2  # the same for a heading over several columns
_OVERLAP = 0.4  # of the smaller width or the label's height, from which two stand over or beside each other
_SHARE = 0.2  # of its width, above which a heading stands over a column
_EDGE = 0.12  # of the gap between two columns, after which the right one begins


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a table's columns are, in points: from `x0` to `x1`, and the left and right edge of each."""

    x0: float
    x1: float
    columns: tuple[tuple[float, float], ...]

    def holds(self, cell: Cell) -> bool:
        """Whether a cell is within the columns."""
        return cell.x0 >= self.x0 - _LEFT_SLACK and cell.x1 <= self.x1 + _RIGHT_SLACK

    def columns_of(self, cell: Cell) -> tuple[int, ...]:
        """The numbers of the columns that a cell is above: those that take a good share of its width."""
        # Numbers are right-aligned and headings are wider, so a column begins soon after the one before it ends.
        edges = [
            left[1] + _EDGE * (right[0] - left[1]) for left, right in zip(self.columns, self.columns[1:], strict=False)
        ]
        starts, ends = [float("-inf"), *edges], [*edges, float("inf")]
        width = max(cell.x1 - cell.x0, 1.0)
        return tuple(
            number
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
            if (min(cell.x1, end) - max(cell.x0, start)) / width > _SHARE
        )


@dataclass(slots=True)
class _Heading:
    """One heading, on one line or several."""

    cell: Cell
    y0: float
    y1: float
    size: float
    bold: bool
    block: int
    columns: tuple[int, ...]


def headed(rows: Sequence[Row], reach: Reach) -> list[Row]:
    """One row for each storey, marked as head, and the labels of the labels' column that were among them."""
    if not rows:
        return []
    lines: list[_Heading] = []
    labels: list[Row] = []
    for row in rows:
        for cell in row.cells:
            if reach.holds(cell):
                lines.append(_line(cell, row, reach))
            else:
                labels.append(Row([cell], row.y0, row.y1, row.size, row.bold, row.block))
    heads = [_storey(storey) for storey in _storeys(_joined(lines))]
    below = [label for label in labels if not _join_storey(label, heads)]
    above = [label for label in below if label.head]
    return [*above, *heads, *(label for label in below if not label.head)]


def _join_storey(label: Row, heads: Sequence[Row]) -> bool:
    """Add a label to the storey beside it; one above all of them heads the table as a row of its own."""
    for head in reversed(heads):
        if min(label.y1, head.y1) - max(label.y0, head.y0) > _OVERLAP * label.height:
            head.cells.insert(0, label.cells[0])
            return True
    label.head = label.y1 <= heads[-1].y1
    return False


def _line(cell: Cell, row: Row, reach: Reach) -> _Heading:
    y0, y1 = min(piece.box[1] for piece in cell.pieces), max(piece.box[3] for piece in cell.pieces)
    return _Heading(cell, y0, y1, row.size, row.bold, row.block, reach.columns_of(cell))


def _joined(lines: Sequence[_Heading]) -> list[_Heading]:
    """Join lines that continue the one above them into one heading."""
    headings: list[_Heading] = []
    for line in sorted(lines, key=lambda line: (line.y0, line.cell.x0)):
        above = next((heading for heading in reversed(headings) if _goes_on(heading, line)), None)
        if above is None:
            headings.append(line)
            continue
        append_line(above.cell.pieces, line.cell.pieces)
        above.cell.x0, above.cell.x1 = min(above.cell.x0, line.cell.x0), max(above.cell.x1, line.cell.x1)
        above.y1 = line.y1
    return headings


def _goes_on(above: _Heading, line: _Heading) -> bool:
    return (
        above.columns == line.columns
        and above.bold == line.bold
        and -0.5 * line.size
        <= line.y0 - above.y1
        <= (_SPANNING_GAP if len(line.columns) > 1 else _SAME_CELL_GAP) * line.size
        and _over(above, line) > _OVERLAP
        and not line.cell.pieces[0].text.startswith("(")
    )


def _over(above: _Heading, line: _Heading) -> float:
    """Shared width as a share of the smaller one."""
    shared = min(above.cell.x1, line.cell.x1) - max(above.cell.x0, line.cell.x0)
    return shared / max(1.0, min(above.cell.x1 - above.cell.x0, line.cell.x1 - line.cell.x0))


def _storeys(headings: Sequence[_Heading]) -> list[list[_Heading]]:
    """Headings side by side, from the top. Those of one storey are aligned at the bottom, the top or the middle."""
    storeys: list[list[_Heading]] = []
    for heading in sorted(headings, key=lambda one: (one.y0 + one.y1, one.cell.x0)):
        last = storeys[-1] if storeys else []
        beside = last and not any(set(other.columns) & set(heading.columns) for other in last)
        if beside and heading.y0 < max(other.y1 for other in last):
            last.append(heading)
        else:
            storeys.append([heading])
    return storeys


def _storey(headings: Sequence[_Heading]) -> Row:
    ordered = sorted(headings, key=lambda one: one.cell.x0)
    return Row(
        [one.cell for one in ordered],
        min(one.y0 for one in ordered),
        max(one.y1 for one in ordered),
        max(one.size for one in ordered),
        all(one.bold for one in ordered),
        ordered[0].block,
        head=True,
    )
