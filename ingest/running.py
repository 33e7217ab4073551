"""Running headers, running footers and page numbers: which lines of a page repeat on its neighbours.

A row near the top or bottom edge of a page's text is running when the same row stands near the same edge on enough of
the pages around it, a number that counts with the pages being the same; or when the outermost row begins or ends with a
number that counts with theirs; or when it is nothing but a page number. Where a row stands on the paper doesn't matter:
footers follow short pages up.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ingest.rows import vertical_overlap
from ingest.types import Line, Page

LOOK_AHEAD = 6
"""Pages read before one is decided; as many behind it count too."""

_EDGE_ROWS = 3
_ENOUGH = 3
_FEW_PAGES = 4
_ENOUGH_OF_FEW = 2
_LONGEST_WORDS = 20
_MOST_NUMBERS = 8
_SAME_ROW_OVERLAP = 0.5
_NUMBER = re.compile(r"(?<![\d.,])\d{1,4}(?!\d|[.,]\d)")
_COUNTING = re.compile(r"(\d{1,4})\W*$|^\W*(\d{1,4})\b")
_PAGE_NUMBER = re.compile(
    r"[-–—|\[( ]*(?:(?:page|p\.) ?)?(?:\d{1,3}|[ivxl]{1,7}|[a-z]-\d{1,3})[-–—|\]) ]*"
    r"|(?:page|p\.)? ?\d{1,5} ?(?:of|/) ?\d{1,5}",
)


class EdgeRow(NamedTuple):
    """A row near an edge: the indices of its lines, what it is compared by, whether it is only a page number."""

    lines: tuple[int, ...]
    keys: tuple[str, ...]
    page_number: bool


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
    running = [row for row in rows if row.page_number or any(counts[key] >= enough for key in row.keys)]
    return page, frozenset(index for row in running for index in row.lines)


def edge_rows(page: Page) -> list[EdgeRow]:
    """The outermost rows of a page by height, whatever its reading order."""
    rows = _by_height(page.lines)
    top = rows[:_EDGE_ROWS]
    bottom = rows[len(top) :][-_EDGE_ROWS:]
    found = [_edge_row(page, row, "top", outermost=rank == 0) for rank, row in enumerate(top)]
    found += [_edge_row(page, row, "bottom", outermost=rank == 0) for rank, row in enumerate(reversed(bottom))]
    if not bottom and top:  # a page of a few rows: its last may be a footer as well
        found.append(_edge_row(page, top[-1], "bottom", outermost=True))
    return found


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
    """The text, and the text with each of its numbers in turn replaced by its distance from the page's."""
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
