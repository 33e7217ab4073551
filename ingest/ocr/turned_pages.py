"""Where the words of turned pages stand on the page as it is displayed.

A page that was recognised lying on its side or standing on its head has boxes as if it had been turned upright, since
rows, columns and tables are told by them. What is cited is a place on the displayed page. Pure.
"""

from dataclasses import replace

from ingest.types import Box, Chunk, Page


class TurnedPages:
    """Those of one document: `note` each page, then ask for its chunks as displayed."""

    def __init__(self) -> None:
        self._turned: dict[int, tuple[int, float, float]] = {}

    def note(self, page: Page) -> None:
        """Remember how it was turned; nothing to remember for nearly every page."""
        if page.turned:
            self._turned[page.number] = (page.turned, page.width, page.height)

    def as_displayed(self, chunk: Chunk) -> Chunk:
        """The chunk with its words' boxes where they stand on the displayed pages."""
        if not any(number in self._turned for number in range(chunk.page, chunk.page_last + 1)):
            return chunk
        words = tuple(
            word._replace(box=displayed(word.box, *self._turned[word.page])) if word.page in self._turned else word
            for word in chunk.words
        )
        return replace(chunk, words=words)


def displayed(box: Box, quarters: int, width: float, height: float) -> Box:
    """A box on a page that was turned clockwise by so many quarters -> on the page of this size before that."""
    x0, y0, x1, y1 = box
    if quarters == 1:
        return (y0, height - x1, y1, height - x0)
    if quarters == 2:
        return (width - x1, height - y1, width - x0, height - y0)
    return (width - y1, x0, width - y0, x1)
