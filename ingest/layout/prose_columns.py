"""Separates columns of prose that were written line by line across both: the left column first, then the right. Pure.

A generator may write a page from top to bottom whatever its columns, and then the lines of both arrive as the rows of a
table. They are columns of prose if, row after row, the same gutter is free between two cells of several words that fill
their columns. Where a page is already in the order of its columns, no two cells share a row and nothing is done.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

from ingest.layout.rows import Cell, Row

# Chosen by eye; held by the expectations of benchmarks/reading.
_FEWEST_ROWS = 6  # that leave the same gutter free
_ALIGNED = 3.0  # points between left edges that count as the same
_FILLED = 0.75  # of its column's width, from which a cell fills it
_MOST = 0.7  # of the rows or cells that must look like prose
_WORDS = 3.5  # in a cell, on average


def unwoven(rows: list[Row]) -> list[Row]:
    """The rows in reading order."""
    done: list[Row] = []
    index = 0
    while index < len(rows):
        end = _run_end(rows, index)
        if end - index >= _FEWEST_ROWS and _is_prose(rows[index:end]):
            done += _apart(rows[index:end])
        else:
            done += rows[index:end]
        index = end
    return done


def _run_end(rows: Sequence[Row], begin: int) -> int:
    """Index after the last row, from `begin` on, that leaves the same gutter free; at least `begin` + 1."""
    left, right = 0.0, float("inf")
    for index in range(begin, len(rows)):
        row = rows[index]
        if len(row.cells) == 2 and row.cells[0].x1 < row.cells[1].x0:
            left, right = max(left, row.cells[0].x1), min(right, row.cells[1].x0)
        elif len(row.cells) != 1 or index == begin or row.x0 < left < row.x1 or row.x0 < right < row.x1:
            return max(index, begin + 1)
        if right - left < row.size / 2 or (index > begin and row.y0 < rows[index - 1].y0):
            return max(index, begin + 1)
    return len(rows)


def _is_prose(rows: Sequence[Row]) -> bool:
    """Whether most rows have both columns, and most cells begin at their column's edge, fill it and hold words."""
    pairs = [row.cells for row in rows if len(row.cells) == 2]
    if len(pairs) < max(_FEWEST_ROWS, _MOST * len(rows)):
        return False
    return all(_fills([pair[side] for pair in pairs]) for side in (0, 1))


def _fills(cells: Sequence[Cell]) -> bool:
    left, right = min(cell.x0 for cell in cells), max(cell.x1 for cell in cells)
    full = sum(cell.x1 - cell.x0 >= _FILLED * (right - left) for cell in cells)
    edge = sum(cell.x0 - left <= _ALIGNED for cell in cells)
    words = mean(len(cell.pieces) for cell in cells)
    return min(full, edge) >= _MOST * len(cells) and words >= _WORDS and sum(c.has_letters for c in cells) == len(cells)


def _apart(rows: Sequence[Row]) -> list[Row]:
    middle = min(row.cells[1].x0 for row in rows if len(row.cells) == 2)
    columns: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        for cell in row.cells:
            side = int(cell.x0 >= middle)
            # A block for each column, as the parser gives where it recognises them.
            columns[side].append(replace(row, cells=[cell], block=-1 - side, y1=row.y1))
    return [*columns[0], *columns[1]]
