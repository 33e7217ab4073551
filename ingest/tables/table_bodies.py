"""Finds tables of numbers by where their words are: where each begins and ends, and which lines are one label. Pure.

The body of a table is its rows with amounts in columns, and the labels between them. What is above its first row,
within the reach of its columns, heads them (`table_heads`). Lines of a label whose last one carries the amounts become
one. The rows come from `layout.row_repair`, one page at a time.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from ingest.layout.headings import announces_itself
from ingest.layout.rows import Cell, Row
from ingest.layout.words import append_line
from ingest.tables.table_heads import Reach, headed

_AMOUNT = re.compile(r"[-–(]?\s?[$€£¥]?\s?[-–(]?\d[\d,]*(?:\.\d+)?\s?%?\s?\)?\s?%?|[—–-]\s?%?|N/?[AM]|\*")
_CURRENCY = frozenset("$€£¥(")
_YEAR = re.compile(r"(?:19|20)\d\d")
# Chosen by eye; held by the expectations of benchmarks/reading (see "Tables from the words' geometry" in
# docs/decisions.md). Gaps are shares of a row's height.
_ALIGNED = 6.0  # points between left edges that count as the same
_LABELS_BETWEEN = 3  # rows without amounts, at most, between two rows with them
_LABEL_WORDS = 12
_HEAD_WORDS = 24  # in a row that heads columns
_HEAD_ROWS = 32  # above a table that are looked at
_HEAD_GAP = 2.6  # between rows of a head
_BODY_GAP = 3.0  # between rows of a body
_WRAPPED = 0.88  # of the usual pitch, below which two lines are one label
_USUAL = 0.75  # quantile of the pitches that is the usual one


def with_heads(rows: Sequence[Row]) -> list[Row]:
    """The rows, with heads of columns joined and marked, and labels of two lines joined. Changes the given ones."""
    rest = list(rows)
    done: list[Row] = []
    while (begin := next((index for index, row in enumerate(rest) if is_body(row)), None)) is not None:
        end = _body_end(rest, begin)
        body = rest[begin:end]
        reach = _reach(body)
        begin -= _first_label(rest[:begin], body)
        top = _top(rest[:begin], reach)
        done += [*rest[:top], *headed(rest[top:begin], reach), *_labelled(rest[begin:end])]
        rest = rest[end:]
    return [*done, *rest]


def is_body(row: Row) -> bool:
    """Whether a row has an amount, other than a year or a lone currency sign, beside something else."""
    if len(row.cells) < 2 or row.head:
        return False
    texts = [_text(cell) for cell in row.cells if is_amount(cell)]
    return any(text not in _CURRENCY and not _YEAR.fullmatch(text) for text in texts)


def is_amount(cell: Cell) -> bool:
    """Whether a cell is a number, a sign for none, or a currency sign."""
    text = _text(cell)
    return _AMOUNT.fullmatch(text) is not None or text in _CURRENCY


def _text(cell: Cell) -> str:
    return "".join([piece.text for piece in cell.pieces])


def _body_end(rows: Sequence[Row], begin: int) -> int:
    """Index after the last row of the table whose first row is at `begin`."""
    end = begin + 1
    reach: Reach | None = None
    for index in range(begin + 1, len(rows)):
        row, above = rows[index], rows[index - 1]
        if row.y0 < above.y0 - 1 or row.y0 - above.bottom > _BODY_GAP * row.height:
            break
        if is_body(row):
            end = index + 1
            reach = None
            continue
        reach = reach or _reach(rows[begin:end])
        if not _is_label(row, reach) or index - end >= _LABELS_BETWEEN:
            break
    return end


def _reach(body: Sequence[Row]) -> Reach:
    """Where the columns of amounts are."""
    cells = [cell for row in body for cell in row.cells[1:] if is_amount(cell)]
    cells = cells or [cell for row in body for cell in row.cells if is_amount(cell)]
    columns: list[tuple[float, float]] = []
    for x0, x1 in sorted((cell.x0, cell.x1) for cell in cells if _text(cell) not in _CURRENCY):
        if columns and x0 < columns[-1][1]:
            columns[-1] = columns[-1][0], max(columns[-1][1], x1)
        else:
            columns.append((x0, x1))
    labels = max((row.cells[0].x1 for row in body if not is_amount(row.cells[0])), default=0.0)
    left = min(row.x0 for row in body)
    x0 = min(cell.x0 for cell in cells)
    # A heading may be wider than its numbers: it may begin where the longest label ends, or halfway to their edge.
    return Reach(min(x0, max(labels, left + (x0 - left) / 2)), max(cell.x1 for cell in cells), tuple(columns))


def _is_label(row: Row, reach: Reach) -> bool:
    """Whether a row is a line of few words in the labels' column."""
    few = len(row.cells) == 1 and len(row.cells[0].pieces) <= _LABEL_WORDS
    return few and not row.is_item and not reach.holds(row.cells[0])


def _first_label(above: Sequence[Row], body: Sequence[Row]) -> int:
    """1 if the row above the body is the first line of its first label, else 0."""
    return int(bool(above) and _is_first_line(above[-1], body[0], _usual_pitch(body)))


def _top(rows: Sequence[Row], reach: Reach) -> int:
    """Index of the first row that heads the columns; the number of rows if none does."""
    top = len(rows)
    for index in range(len(rows) - 1, max(-1, len(rows) - _HEAD_ROWS), -1):
        row = rows[index]
        if index + 1 < len(rows) and _distance(row, rows[index + 1]) > _HEAD_GAP * row.height:
            break
        if _heads(row, reach):
            top = index
        elif not _is_label(row, reach) or not _announces(row) or top - index > _LABELS_BETWEEN:
            break
    while 0 < top < len(rows) and _is_unit(rows[top - 1], rows[top], reach):
        top -= 1
    return top


def _is_unit(row: Row, below: Row, reach: Reach) -> bool:
    """Whether it is a unit, such as "(In millions)", beside or above the head."""
    near = _distance(row, below) <= row.height
    return near and _is_label(row, reach) and row.text().startswith("(")


def _announces(row: Row) -> bool:
    """Whether a label belongs among or below column headings: "(In millions)", "Assets:", or in bold."""
    text = row.text()
    return text.startswith("(") or text.endswith(":") or row.bold


def _distance(above: Row, row: Row) -> float:
    """Empty height in points between two rows, whichever is higher."""
    return max(row.y0 - above.bottom, above.y0 - row.bottom, 0.0)


def _heads(row: Row, reach: Reach) -> bool:
    """Whether a row is above columns: all of it, except perhaps a label in the labels' column."""
    words = sum(len(cell.pieces) for cell in row.cells)
    if words > _HEAD_WORDS or row.is_item or is_body(row) or announces_itself(row.text()):
        return False
    inside = [cell for cell in row.cells if reach.holds(cell)]
    first, *others = row.cells
    return bool(inside) and (len(inside) == len(row.cells) or (inside == others and len(first.pieces) <= _LABEL_WORDS))


def _labelled(body: Sequence[Row]) -> list[Row]:
    """The body, with labels of several lines joined with the row that carries their amounts."""
    usual = _usual_pitch(body)
    done: list[Row] = []
    for row in body:
        if done and _is_first_line(done[-1], row, usual):
            label = done.pop().cells[0]
            append_line(label.pieces, row.cells[0].pieces)
            label.x1 = max(label.x1, row.cells[0].x1)
            row.cells[0] = label
        done.append(row)
    return done


def _usual_pitch(body: Sequence[Row]) -> float:
    """Usual distance from the top of one row to the top of the next, in points; 0 for a single row."""
    pitches = sorted(below.y0 - above.y0 for above, below in pairwise(body) if below.y0 > above.y0)
    return pitches[int(_USUAL * (len(pitches) - 1))] if pitches else 0.0


def _is_first_line(above: Row, row: Row, usual: float) -> bool:
    """Whether a line alone begins the row's label: it is closer to it than rows are to each other."""
    label = row.cells[0]
    alone = len(above.cells) == 1 and not above.head and not above.text().endswith((":", ")"))
    if not (alone and is_body(row) and not is_amount(label)) or above.bold != row.bold or above.size != row.size:
        return False
    pitch = label.pieces[0].box[1] - above.y0
    return abs(label.x0 - above.x0) <= _ALIGNED and 0 < pitch < (_WRAPPED * usual if usual else above.height)
