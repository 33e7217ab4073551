"""Maps a stretch of a passage to the page's own words, character for character, and their boxes. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest.types import ChunkWord

Box = tuple[int, float, float, float, float]

_LARGEST_GAP = 120
"""Most characters between two words of a quote; further apart, the page has them elsewhere, as in a table read by
columns. Chosen by eye."""
_SAME_LINE = 0.5
"""Share of the lower box's height by which two boxes on one line overlap. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A slice of the page's own text, with one box (page, x0, y0, x1, y1) in points for each of its lines."""

    page: int
    text: str
    boxes: tuple[Box, ...]


def quote(words: Sequence[ChunkWord], start: int, end: int, page_text: Callable[[int], str]) -> Quote | None:
    """Quote `[start, end)` of a passage's text; None if it has no word.

    If the stretch crosses pages, or its words are apart on the page, the part with the most words is quoted.
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
    """Merge the boxes of words that follow each other on one line; x0, y0, x1, y1 in points."""
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
