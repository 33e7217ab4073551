"""Finds the boxes to highlight on a page for a passage or a quote, one per line. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.answering.quotes import line_boxes
from appliance.display.quote_search import quote_spans
from ingest.types import Box, ChunkWord


@dataclass(frozen=True, slots=True)
class PageWords:
    """A page's own text, and the words of its passages with their positions; a word is in one passage only."""

    number: int
    text: str
    words: Sequence[ChunkWord]
    """In the order of the text; words of other pages are ignored."""

    def on_page(self) -> list[ChunkWord]:
        """Return the words that are on this page."""
        return [word for word in self.words if word.page == self.number]


def passage_boxes(page: PageWords) -> tuple[Box, ...]:
    """Return one box for each line of the page's words; none if the passage is not on this page."""
    return tuple(line_boxes(page.on_page()))


def quote_boxes(page: PageWords, quote: str) -> tuple[Box, ...]:
    """Return the boxes of the quote's first occurrence among the words; none if it does not occur.

    White space, hyphens, punctuation and case are ignored.
    """
    words = page.on_page()
    for start, end in _places(page.text, quote):
        inside = [word for word in words if word.source_start < end and word.source_end > start]
        if inside:
            return tuple(line_boxes(inside))
    return ()


def _places(text: str, quote: str) -> Iterable[tuple[int, int]]:
    exact = text.find(quote) if quote.strip() else -1
    if exact >= 0 and text.find(quote, exact + 1) < 0:
        return [(exact, exact + len(quote))]
    return quote_spans(text, quote)
