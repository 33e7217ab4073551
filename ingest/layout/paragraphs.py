"""Groups rows: the rows of a heading, one row of a table, the rows of a paragraph across columns and pages. Pure.

A paragraph that breaks off at the foot of a column continues after whatever is between: footnotes, figures and captions
are moved behind it. A very long paragraph comes in parts, so that only a few pages are ever held.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from ingest.layout.headings import BodySize, heading_flags
from ingest.layout.row_repair import ITEM
from ingest.layout.rows import Row

TERMINAL = (".", "!", "?", ":", ";", "…", "。", ".”", '."', "?”", "!”", ".)", ".’", ":”")

# Chosen by eye; held by the expectations of benchmarks/reading. Gaps are shares of a row's height.
_SAME_SIZE = 0.1  # of the larger font size, up to which two are the same
_PARAGRAPH_GAP = 0.75  # between rows of one paragraph
_BLOCK_GAP = 0.3  # between rows of one paragraph in different blocks of the parser
_HEADING_GAP = 0.7  # between rows of one heading
_HEADING_ROWS = 3  # of one heading
_INDENT = 0.7  # in font sizes, beyond which a row is indented
_PART_ROWS = 64
"""Rows from which a paragraph is passed on in parts."""
_BETWEEN = 80
"""Groups that may be between the parts of a broken paragraph."""
_BROKEN_WORDS = 8  # in a single line that may break off
_LINE_WORDS = 5  # in the last of several lines that may break off
_FULL = 0.12  # of the column's width that may stay free at the end of a full line
_EXPECTING = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "by",
        "for",
        "from",
        "had",
        "has",
        "have",
        "in",
        "into",
        "is",
        "its",
        "of",
        "on",
        "or",
        "our",
        "that",
        "the",
        "their",
        "this",
        "to",
        "under",
        "was",
        "were",
        "which",
        "who",
        "with",
    ]
)


class BlockKind(Enum):
    """What a group or unit is."""

    HEADING = 1
    SENTENCE = 2
    TABLE_ROW = 3


@dataclass(slots=True)
class Group:
    """Rows that belong together; with `more`, the next group continues the same paragraph."""

    rows: list[Row]
    kind: BlockKind
    more: bool = False


Flags = Callable[[list[Row], BodySize], list[bool]]
"""Whether each of a page's rows is a heading."""


def groups_of(pages: Iterable[tuple[list[Row], BodySize]], flags: Flags = heading_flags) -> Iterator[Group]:
    """Group the pages' rows in reading order, with broken paragraphs joined."""
    ahead: deque[Group] = deque()
    source = _grouped(pages, flags)
    while (group := ahead.popleft() if ahead else next(source, None)) is not None:
        while _breaks_off(group) and (index := _continuation(group, ahead, source)) is not None:
            following = _taken(ahead, index)
            group = Group(group.rows + following.rows, BlockKind.SENTENCE, following.more)
            while group.more:
                yield group
                group = _taken(ahead, index) if index < len(ahead) else next(source)
        yield group


def _continuation(group: Group, ahead: deque[Group], source: Iterator[Group]) -> int | None:
    """Index in `ahead`, filled from `source` as needed, of the group that continues a broken paragraph; else None."""
    above = group.rows[-1]
    for index in range(_BETWEEN):
        if index == len(ahead):
            following = next(source, None)
            if following is None:
                break
            ahead.append(following)
        if _page(ahead[index].rows[0]) > _page(above) + 1:
            break
        if _resumes(above, ahead[index]):
            return index
    return 0 if ahead and _may_follow(above, ahead[0]) else None


def _taken(ahead: deque[Group], index: int) -> Group:
    group = ahead[index]
    del ahead[index]
    return group


def _breaks_off(group: Group) -> bool:
    """Whether a paragraph stops in the middle of a sentence, at the end of a full line."""
    if group.kind is not BlockKind.SENTENCE or group.more:
        return False
    last = group.rows[-1]
    words = last.cells[-1].pieces
    if words[-1].text.endswith(TERMINAL) or len(words) < (_LINE_WORDS if len(group.rows) > 1 else _BROKEN_WORDS):
        return False
    edge = max(row.x1 for row in group.rows[-3:]) if len(group.rows) > 1 else last.right
    return last.x1 >= edge - _FULL * (edge - last.x0)


def _resumes(above: Row, found: Group) -> bool:
    """Whether a group is the rest of the paragraph that breaks off in the row `above`, whatever is between."""
    return _alike(above, found) and starts_small(found.rows[0].cells[0].pieces[0].text)


def _may_follow(above: Row, found: Group) -> bool:
    """Whether the next group, in the next column or page, can be the rest of a sentence that expects more."""
    row = found.rows[0]
    elsewhere = _page(row) > _page(above) or row.y0 < above.y0
    return elsewhere and _alike(above, found) and above.cells[-1].pieces[-1].text in _EXPECTING


def _alike(above: Row, found: Group) -> bool:
    row = found.rows[0]
    return found.kind is BlockKind.SENTENCE and not row.is_item and above.bold == row.bold and _same_size(above, row)


def _grouped(pages: Iterable[tuple[list[Row], BodySize]], flags: Flags) -> Iterator[Group]:
    group: list[Row] = []
    last = BlockKind.SENTENCE
    for rows, body in pages:
        for row, kind in zip(rows, _kinds(rows, flags(rows, body)), strict=True):
            if group and not (kind is last and _continues(group, row, kind)):
                yield Group(group, last)
                group = []
            elif len(group) >= _PART_ROWS:
                yield Group(group, last, more=True)
                group = []
            group.append(row)
            last = kind
    if group:
        yield Group(group, last)


def _kinds(rows: list[Row], flags: list[bool]) -> list[BlockKind]:
    return [
        BlockKind.HEADING if flag else BlockKind.TABLE_ROW if row.is_table or row.head else BlockKind.SENTENCE
        for row, flag in zip(rows, flags, strict=True)
    ]


def _continues(group: list[Row], row: Row, kind: BlockKind) -> bool:
    """Whether a row continues the paragraph or heading of the rows before it."""
    above = group[-1]
    if kind is BlockKind.TABLE_ROW or row.is_item or not _same_size(above, row):
        return False
    first, last = row.cells[0].pieces[0], above.cells[-1].pieces[-1]
    below = first.page == last.page and row.y0 >= above.y0
    if kind is BlockKind.HEADING:
        return below and _goes_on_heading(group, row)
    if last.text.endswith(":") and first.text[0].isupper():
        return False
    unfinished = not last.text.endswith(TERMINAL)
    if unfinished and starts_small(first.text):
        return not below or row.y0 - above.bottom <= 2 * _PARAGRAPH_GAP * row.height
    if is_deliberate_break(above, row) or (not unfinished and _is_indented(row) and not _is_indented(above)):
        return False
    if not below:  # the next column or page: there a full line says nothing about the end of a paragraph
        elsewhere = first.page != last.page or above.block != row.block
        full = unfinished or len(above.cells[-1].pieces) >= _BROKEN_WORDS
        return elsewhere and full and above.bold == row.bold and first.text[0].isalpha()
    gap = row.y0 - above.bottom
    return gap <= _PARAGRAPH_GAP * row.height and not (above.block != row.block and gap > _BLOCK_GAP * row.height)


def _goes_on_heading(group: list[Row], row: Row) -> bool:
    above = group[-1]
    return (
        row.y0 - above.bottom <= _HEADING_GAP * row.height
        and above.bold == row.bold
        and len(group) < _HEADING_ROWS
        and above.text().isupper() == row.text().isupper()
        and not row.is_table
        and not is_deliberate_break(above, row)
    )


def starts_small(word: str) -> bool:
    """Whether it begins with a small letter, after any brackets and quotes.

    >>> starts_small("(see"), starts_small("“Net")
    (True, False)
    """
    return word.lstrip("([\"'“‘«")[:1].islower()


def _same_size(one: Row, other: Row) -> bool:
    return abs(one.size - other.size) <= _SAME_SIZE * max(one.size, other.size)


def _page(row: Row) -> int:
    return row.cells[0].pieces[0].page


def _is_indented(row: Row) -> bool:
    """Whether it begins further right than its column's lines do."""
    return row.x0 - row.left > _INDENT * row.size


def is_deliberate_break(above: Row, row: Row) -> bool:
    """Whether `row` is a list item, or the line above ended although the next word had room on it."""
    first = row.cells[0].pieces[0]
    if ITEM.fullmatch(first.text) and len(row.cells[0].pieces) > 1:
        return True
    width = first.box[2] - first.box[0] + 0.3 * row.size
    return not starts_small(first.text) and above.x1 + width + row.size < above.right
