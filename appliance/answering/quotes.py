"""A stretch of a passage -> the page's own words, character for character, and where they stand. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.types import ChunkWord

Box = tuple[int, float, float, float, float]

_LARGEST_GAP = 120
"""Characters between two words of a quote; a table read by columns has its row's words further apart."""
_SAME_LINE = 0.5


@dataclass(frozen=True, slots=True)
class Quote:
    """`text` is a slice of the page's own text; one box (page, x0, y0, x1, y1) in points for each of its lines."""

    page: int
    text: str
    boxes: tuple[Box, ...]


def quote(words: Sequence[ChunkWord], start: int, end: int, page_text: Callable[[int], str]) -> Quote | None:
    """The quote for `[start, end)` of a passage's text, None if no word of it stands there.

    Where the stretch crosses pages, or its words lie apart on the page, the part with most words is quoted.
    """
    inside = [word for word in words if word.start < end and word.end > start]
    run = max(_runs(inside), key=len, default=None)
    if not run:
        return None
    page = run[0].page
    text = page_text(page)[run[0].source_start : run[-1].source_end]
    return Quote(page, text, tuple((page, *box) for box in line_boxes(run)))


def _runs(words: Sequence[ChunkWord]) -> list[list[ChunkWord]]:
    runs: list[list[ChunkWord]] = []
    for word in words:
        if runs and _follows(runs[-1][-1], word):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _follows(before: ChunkWord, after: ChunkWord) -> bool:
    return before.page == after.page and 0 <= after.source_start - before.source_end <= _LARGEST_GAP


def line_boxes(words: Sequence[ChunkWord]) -> list[tuple[float, float, float, float]]:
    """The words' boxes, those beside each other on a line as one."""
    lines: list[tuple[float, float, float, float]] = []
    for word in words:
        if lines and _beside(lines[-1], word.box):
            x0, y0, x1, y1 = lines[-1]
            lines[-1] = (min(x0, word.box[0]), min(y0, word.box[1]), max(x1, word.box[2]), max(y1, word.box[3]))
        else:
            lines.append(word.box)
    return lines


def _beside(line: tuple[float, float, float, float], box: tuple[float, float, float, float]) -> bool:
    shared = min(line[3], box[3]) - max(line[1], box[1])
    lower = min(line[3] - line[1], box[3] - box[1])
    return shared > _SAME_LINE * lower and box[0] >= line[0]
