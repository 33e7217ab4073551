"""Tracks which rows head the columns of a table, so that a passage from its middle says what its numbers are. Pure.

The first rows of a table are its column headings if they hold words and dates but no amounts, and rows with numbers
follow. Key-and-value tables, whose cells end in colons, have no column headings.
"""

import re
from collections.abc import Sequence

LONGEST = 240
"""Characters of the column headings in a heading path. Chosen by eye, like the next."""

_MOST_ROWS = 3  # of column headings that are not marked as such
_YEAR_OR_DAY = re.compile(r"(?<![\d.,])(?:(?:19|20)\d\d|[0-3]?\d)(?![\d.,]*\d)")
_DIGIT = re.compile(r"\d")
_CELL = re.compile(r" {2,}")


class TableHead:
    """The column headings of a table; takes its rows one by one."""

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._complete = False
        self._marked = False

    def is_headed_by(self, rows: Sequence[str]) -> bool:
        """Whether exactly these rows head the table, and rows below them have been seen."""
        return self._complete and self._rows == rows

    def add(self, row: str, *, head: bool = False) -> str:
        """The column headings above `row`; empty while it is one itself, as one marked `head` always is."""
        if head:
            if self._complete:
                self._rows, self._complete = [], False
            self._rows.append(row)
            self._marked = True
            return ""
        if self._marked:
            self._complete = True
            return headings(self._rows)
        if not self._complete and len(self._rows) < _MOST_ROWS and _can_head(row):
            self._rows.append(row)
            return ""
        if not self._complete and not _DIGIT.search(row):
            self._rows = []
        self._complete = True
        return headings(self._rows)


def headings(rows: Sequence[str]) -> str:
    """Column headings as one line of at most LONGEST characters.

    >>> headings(["June 25,  June 26,", "2022  2021"])
    'June 25, June 26; 2022, 2021'
    """
    return "; ".join(", ".join(cell.rstrip(",") for cell in _CELL.split(row.strip())) for row in rows)[:LONGEST]


def _can_head(row: str) -> bool:
    cells = _CELL.split(row)
    if any(cell.endswith(":") for cell in cells) or not any(c.isalpha() for c in row):
        return False
    return not _DIGIT.search(_YEAR_OR_DAY.sub("", row)) and not any(mark in row for mark in "$€£¥%—")
