"""Finds running headers, running footers and page numbers: the lines of a page that repeat on its neighbours. Pure.

A row near the top or bottom edge of a page's text is running if the same row is near the same edge of enough pages
around it, where a number that counts with the pages is taken as equal; or if it is the outermost row and begins or ends
with a number that counts with the pages; or if it is nothing but a page number. The height on the paper does not
matter: footers follow short pages up.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ingest.layout.rows import vertical_overlap
from ingest.types import Line, Page

LOOK_AHEAD = 6
"""Pages read ahead before one is decided; as many behind it count too."""

# Chosen by eye; held by the expectations of benchmarks/reading. See "Running lines" in docs/decisions.md.
_EDGE_ROWS = 3  # at each edge that may be running
_ENOUGH = 3  # pages that a running row is on
_FEW_PAGES = 4  # up to which the next number is enough
_ENOUGH_OF_FEW = 2
_LONGEST_WORDS = 20  # in a running row
_MOST_NUMBERS = 8  # of a row that are compared with the page's number
_SAME_ROW_OVERLAP = 0.5
_HEAD_GAP = 0.8  # between a table's head and its first row, in heights of a line
_HANGING_WORDS = 6
_YEAR = re.compile(r"(?:19|20)\d\d")
_NUMBER = re.compile(r"(?<![\d.,])\d{1,4}(?!\d|[.,]\d)")
_COUNTING = re.compile(r"(\d{1,4})\W*$|^\W*(\d{1,4})\b")
_PAGE_NUMBER = re.compile(
    r"[-–—|\[( ]*(?:(?:page|p\.) ?)?(?:\d{1,3}|[ivxl]{1,7}|[a-z]-\d{1,3})[-–—|\]) ]*"
    r"|(?:page|p\.)? ?\d{1,5} ?(?:of|/) ?\d{1,5}",
)


class EdgeRow(NamedTuple):
    """A row near an edge: the indices of its lines, the keys it is compared by, whether it is only a page number."""

    lines: tuple[int, ...]
    keys: tuple[str, ...]
    page_number: bool
    hangs: bool = False
    """Whether it is close to the row further out and far from the one further in."""


def without_running(pages: Iterable[Page], look_ahead: int = LOOK_AHEAD) -> Iterator[tuple[Page, frozenset[int]]]:
    """Each page with the indices of its running lines. Holds at most `look_ahead` pages ahead, and keys behind."""
    behind: deque[list[EdgeRow]] = deque(maxlen=look_ahead)
    window: deque[tuple[Page, list[EdgeRow]]] = deque()
    for page in pages:
        window.append((page, edge_rows(page)))
        if len(window) > look_ahead:
            yield _decided(behind, window)
    while window:
        yield _decided(behind, window)


def _decided(behind: deque[list[EdgeRow]], window: deque[tuple[Page, list[EdgeRow]]]) -> tuple[Page, frozenset[int]]:
    around = [*behind, *(rows for _, rows in window)]
    counts = Counter(key for rows in around for key in {key for row in rows for key in row.keys})
    enough = _ENOUGH if len(around) > _FEW_PAGES else _ENOUGH_OF_FEW
    page, rows = window.popleft()
    behind.append(rows)
    running: list[EdgeRow] = []
    for before, row in zip([None, *rows], rows, strict=False):
        repeats = row.page_number or any(counts[key] >= enough for key in row.keys)
        if repeats or (row.hangs and before is not None and before in running[-1:]):
            running.append(row)
    return page, frozenset(index for row in running for index in row.lines)


def edge_rows(page: Page) -> list[EdgeRow]:
    """The outermost rows of a page by height, whatever its reading order."""
    rows = _by_height(page.lines)
    top = rows[:_EDGE_ROWS]
    bottom = rows[len(top) :][-_EDGE_ROWS:]
    kept = _table_head(page, rows)
    found = [
        _edge_row(page, row, "top", outermost=rank == 0)._replace(hangs=_hangs(page, rows[: _EDGE_ROWS + 1], rank))
        for rank, row in enumerate(top)
        if rank not in kept
    ]
    upwards = rows[::-1][: len(bottom) + 1]
    found += [
        _edge_row(page, row, "bottom", outermost=rank == 0)._replace(hangs=_hangs(page, upwards, rank))
        for rank, row in enumerate(reversed(bottom))
    ]
    if not bottom and top:  # a page of a few rows: its last may be a footer as well
        found.append(_edge_row(page, top[-1], "bottom", outermost=True))
    return found


def _hangs(page: Page, rows: list[list[int]], rank: int) -> bool:
    """Whether a short row belongs to the one further out rather than to the page's text."""
    if not 0 < rank < len(rows) - 1:
        return False
    outer, row, inner = ([page.lines[index] for index in rows[rank + step]] for step in (-1, 0, 1))
    height = row[0].box[3] - row[0].box[1]
    words = sum(len(line.words) for line in row)
    return words <= _HANGING_WORDS and _distance(outer, row) <= height / 2 and _distance(row, inner) >= 1.5 * height


def _distance(one: list[Line], other: list[Line]) -> float:
    """Empty height in points between two rows, whichever is higher."""
    return max(
        min(line.box[1] for line in other) - max(line.box[3] for line in one),
        min(line.box[1] for line in one) - max(line.box[3] for line in other),
    )


def _table_head(page: Page, rows: list[list[int]]) -> frozenset[int]:
    """The uppermost rows that head a table right below: they belong to the table, even if on every page."""
    heading: list[int] = []
    for rank in reversed(range(min(_EDGE_ROWS, len(rows) - 1))):
        above, below = ([page.lines[index] for index in row] for row in rows[rank : rank + 2])
        heads = rank + 1 in heading or (len(below) > 1 and sum(_is_number(page, line) for line in below) > 0)
        if heads and _stand_over(above, below) and not any(_is_number(page, line) for line in above):
            heading.append(rank)
    return frozenset(heading)


def _is_number(page: Page, line: Line) -> bool:
    text = page.text[line.words[0].start : line.words[-1].end]
    return not any(c.isalpha() for c in text) and any(c.isdigit() for c in text) and not _YEAR.fullmatch(text)


def _stand_over(above: list[Line], below: list[Line]) -> bool:
    """Whether lines side by side are closely above others, each over at least one of them."""
    bottom, top = max(line.box[3] for line in above), min(line.box[1] for line in below)
    height = above[0].box[3] - above[0].box[1]
    near = len(above) > 1 and top - bottom <= _HEAD_GAP * height
    return near and all(
        any(one.box[0] < other.box[2] and other.box[0] < one.box[2] for other in below) for one in above
    )


def _edge_row(page: Page, row: list[int], edge: str, *, outermost: bool) -> EdgeRow:
    words = [page.text[word.start : word.end] for index in row for word in page.lines[index].words]
    text = " ".join(words).lower()
    if len(words) > _LONGEST_WORDS:
        return EdgeRow(tuple(row), (), False)
    keys = [f"{edge}:{key}" for key in _counted(text, page.number)] if any(c.isalpha() for c in text) else []
    if outermost and (counting := _COUNTING.search(text)):
        keys.append(f"{edge}@{int(counting[1] or counting[2]) - page.number}")
    return EdgeRow(tuple(row), tuple(keys), outermost and _PAGE_NUMBER.fullmatch(text) is not None)


def _counted(text: str, number: int) -> Iterator[str]:
    """The text, and the text with each of its numbers in turn replaced by its distance from the page's number.

    >>> list(_counted("report page 7", 5))
    ['report page 7', 'report page @2']
    """
    yield text
    for match in islice(_NUMBER.finditer(text), _MOST_NUMBERS):
        yield f"{text[: match.start()]}@{int(match[0]) - number}{text[match.end() :]}"


def _by_height(lines: tuple[Line, ...]) -> list[list[int]]:
    rows: list[list[int]] = []
    span = (0.0, 0.0)
    for index in sorted(range(len(lines)), key=lambda i: (lines[i].box[1], lines[i].box[0])):
        top, bottom = lines[index].box[1], lines[index].box[3]
        if rows and vertical_overlap(span, (top, bottom)) >= _SAME_ROW_OVERLAP:
            rows[-1].append(index)
        else:
            rows.append([index])
            span = (top, bottom)
    return rows
