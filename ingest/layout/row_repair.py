"""Repairs the rows of a page as a reader's eye does with tables and lists. Pure.

- a line alone below a cell, aligned with it, is the rest of that cell
- a line alone above a row whose first cell goes on in small letters is the beginning of that cell
- column headings on two lines ("June 25," above "2022") become one cell each
- a bullet and its words become text, as does a long numbered remark
- small marks that stand alone (footnote numbers, ®) are dropped
"""

import re
from collections.abc import Iterable
from statistics import median_high

from ingest.layout.normalisation import is_bullet
from ingest.layout.rows import Row
from ingest.layout.words import append_line

# Chosen by eye; held by the expectations of benchmarks/reading. Gaps are shares of a row's height.
_ALIGNED_POINTS = 2.5  # between left edges that count as the same
_WRAPPED_GAP = 0.6  # above the second line of a cell
_STACKED_GAP = 0.25  # above the second line of column headings
_STACKED_WORDS = 5  # in a column heading of two lines
_REMARK_WORDS = 6  # from which a numbered remark is text
_SMALL = 0.8  # of the usual font size, below which a mark alone is dropped
_COLUMN_POINTS = 20.0  # between left edges that share a column
ITEM = re.compile(r"\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})[.)]|\d{1,2}(?:\.\d{1,2})+\.?|[*†‡]+")
_MARKS = re.compile(r"(?:[®™©℠*†‡,\s]|\(\d{1,2}\)|(?<!\d)\d{1,2}(?!\d))+")
_AMOUNT = re.compile(r"[$€£¥%]|\d[,.]\d|\d{5,}")


def tidied(rows: Iterable[Row]) -> list[Row]:
    """The repaired rows in the same order. Changes the given ones."""
    rows = list(rows)
    usual = median_high([row.size for row in rows]) if rows else 0.0
    kept: list[Row] = []
    for row in rows:
        if _is_floating_mark(row, usual):
            continue
        if kept and (united := _united(kept[-1], row)):
            kept[-1] = united
        else:
            kept.append(row)
    kept = [_as_text(row) for row in kept]
    _measure_columns([row for row in kept if not row.is_table])
    return kept


def _united(above: Row, row: Row) -> Row | None:
    """The row that both rows make together; None if they are separate."""
    if row.y0 < above.y0 or row.y0 - above.bottom > _WRAPPED_GAP * row.height:
        return None
    if above.is_table and not row.is_table:
        return above if _wrap(above, row) else None
    if row.is_table and not above.is_table:
        return row if _prepend_label(above, row) else None
    return above if above.is_table and _stack(above, row) else None


def _wrap(above: Row, row: Row) -> bool:
    """Append a line alone to the cell above that it is aligned with; False if there is none."""
    cell = row.cells[0]
    if not cell.has_letters:
        return False
    for target in above.cells[1:]:
        if abs(target.x0 - cell.x0) <= _ALIGNED_POINTS and target.has_letters:
            append_line(target.pieces, cell.pieces)
            target.x1 = max(target.x1, cell.x1)
            above.bottom = row.bottom
            return True
    return False


def _prepend_label(above: Row, row: Row) -> bool:
    """Put the first line of a label before its second line, which carries the row's numbers; False if it is none."""
    label, rest = above.cells[0], row.cells[0]
    if not (rest.pieces[0].text[0].islower() and label.has_letters and label.x0 <= rest.x0 + _ALIGNED_POINTS):
        return False
    if label.pieces[-1].text.endswith((":", ".")) or above.bold != row.bold or label.x1 < rest.x0:
        return False
    append_line(label.pieces, rest.pieces)
    label.x1 = max(label.x1, rest.x1)
    row.cells[0] = label
    row.y0 = above.y0
    return True


def _stack(above: Row, row: Row) -> bool:
    """Join column headings on two lines, cell by cell; False if the rows are something else."""
    if len(above.cells) != len(row.cells) or row.y0 - above.bottom > _STACKED_GAP * row.height:
        return False
    pairs = list(zip(above.cells, row.cells, strict=True))
    if any(upper.x1 < lower.x0 or lower.x1 < upper.x0 or not upper.has_letters for upper, lower in pairs):
        return False
    if any(len(upper.pieces) + len(lower.pieces) > _STACKED_WORDS for upper, lower in pairs):
        return False
    if _AMOUNT.search(above.text()) or _AMOUNT.search(row.text()):
        return False
    for upper, lower in pairs:
        append_line(upper.pieces, lower.pieces)
        upper.x0, upper.x1 = min(upper.x0, lower.x0), max(upper.x1, lower.x1)
    above.bottom = row.bottom
    return True


def _as_text(row: Row) -> Row:
    """Turn a list item or a numbered remark into text: it is no table of its mark and its words."""
    if len(row.cells) != 2 or len(row.cells[0].pieces) != 1:
        return row
    mark, words = row.cells
    if is_bullet(mark.pieces[0].text):
        row.cells = [words]
        row.is_item = True
    elif ITEM.fullmatch(mark.pieces[0].text) and len(words.pieces) >= _REMARK_WORDS:
        first = words.pieces[0]._replace(gap=" ")
        mark.pieces += [first, *words.pieces[1:]]
        mark.x1 = words.x1
        row.cells = [mark]
        row.is_item = True
    return row


def _is_floating_mark(row: Row, usual: float) -> bool:
    return row.size < _SMALL * usual and _MARKS.fullmatch(row.text()) is not None


def _measure_columns(rows: list[Row]) -> None:
    """Set how far text reaches in each row's column: rows with about the same left edge share one."""
    left: dict[int, float] = {}
    right: dict[int, float] = {}
    for row in rows:
        x0, x1 = row.x0, row.x1
        column = round(x0 / _COLUMN_POINTS)
        for near in (column - 1, column, column + 1):
            left[near] = min(left.get(near, x0), x0)
            right[near] = max(right.get(near, 0.0), x1)
    for row in rows:
        column = round(row.x0 / _COLUMN_POINTS)
        row.left, row.right = left[column], right[column]
