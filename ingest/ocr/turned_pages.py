"""Maps the words of turned pages back to the page as displayed. Pure.

A page that was rotated before recognition has the boxes of the upright page, because rows, columns and tables are found
by them. A citation needs the place on the displayed page.
"""

from dataclasses import replace

from ingest.types import Box, Chunk, Page


class TurnedPages:
    """The turned pages of one document: `note` each page, then pass its chunks through `as_displayed`."""

    def __init__(self) -> None:
        self._turned: dict[int, tuple[int, float, float]] = {}

    def note(self, page: Page) -> None:
        """Remember how the page was turned; nearly every page is not."""
        if page.turned:
            self._turned[page.number] = (page.turned, page.width, page.height)

    def as_displayed(self, chunk: Chunk) -> Chunk:
        """The chunk with the boxes of its words on the displayed pages."""
        if not any(number in self._turned for number in range(chunk.page, chunk.page_last + 1)):
            return chunk
        words = tuple(
            word._replace(box=displayed(word.box, *self._turned[word.page])) if word.page in self._turned else word
            for word in chunk.words
        )
        return replace(chunk, words=words)


def displayed(box: Box, quarters: int, width: float, height: float) -> Box:
    """A box of the turned page, on the displayed page.

    `quarters` (1 to 3) are the clockwise quarter turns from the displayed page, of size `width` by `height`.

    >>> displayed((10, 20, 30, 40), 2, 100, 200)
    (70, 160, 90, 180)
    """
    x0, y0, x1, y1 = box
    if quarters == 1:
        return (y0, height - x1, y1, height - x0)
    if quarters == 2:
        return (width - x1, height - y1, width - x0, height - y0)
    return (width - y1, x0, width - y0, x1)
