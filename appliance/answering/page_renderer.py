"""Draws a page of a document as a picture, with the words of a passage or a quote highlighted.

Blocking: call it in a worker thread. The file is the document's own, opened below the library without following links.
It must still have the content that was indexed: boxes of another content would highlight the wrong words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from appliance.answering.highlights import PageWords, passage_boxes, quote_boxes
from appliance.display.path_names import display_name
from appliance.errors import Conflict, NotFound, TooLarge
from appliance.store import Store
from appliance.store.rows import DocumentRow, ReadPage
from ingest.types import Box, PageImage

_MOST_BOXES = 1000
"""Highlighted lines on one page. Chosen by eye."""


class Drawer(Protocol):
    """Draws a page in the parser's sandbox; the composition root provides the one of `ingest`."""

    def draw(self, path: bytes, sha256: str, number: int, dpi: int, boxes: Sequence[Box], stop: Event) -> PageImage: ...


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """A page, its resolution, and what to highlight: a passage, a quote, a quote within a passage, or nothing."""

    page: int
    dpi: int
    chunk: str | None = None
    quote: str | None = None


class PageRenderer:
    """Draws pages; thread-safe."""

    def __init__(self, store: Store, drawer: Drawer) -> None:
        self._store = store
        self._drawer = drawer

    def render(self, row: DocumentRow, request: RenderRequest, stop: Event) -> PageImage:
        """Draw a page; setting `stop` ends it early.

        Raises:
            NotFound: there is no such page or passage, or what to highlight is not on that page.
            Conflict, FileChanged: the document has not been read yet, or its file has changed since.
            TooLarge: the quote has too many lines.
            IngestError: the file cannot be read any more, or drawing the page exceeds a limit.
        """
        what = f"page {request.page} of {display_name(row.path)}"
        read = self._store.read_page(row.id, request.page, request.chunk)
        if read is None or not read.revision.pages:
            hint = "`docent documents show` says why"
            raise Conflict(what, f"the document is {row.state}: its pages are not known", hint)
        pages = read.revision.pages
        if not 1 <= request.page <= pages:
            many = pages > 1
            why = f"the document has {f'{pages} pages' if many else 'only one page'}"
            raise NotFound(what, why, f"use 1 to {pages}" if many else "use 1")
        boxes = _boxes(read, request, what)
        return self._drawer.draw(row.path, read.revision.sha256, request.page, request.dpi, boxes, stop)


def _boxes(read: ReadPage, request: RenderRequest, what: str) -> tuple[Box, ...]:
    if request.chunk is None and request.quote is None:
        return ()
    if read.page is None:
        raise Conflict(what, "it has not been read yet", "try again when the document is indexed")
    words = PageWords(request.page, read.page.text, read.words)
    boxes = passage_boxes(words) if request.quote is None else quote_boxes(words, request.quote)
    if not boxes:
        raise _not_on_page(read, request, what)
    if len(boxes) > _MOST_BOXES:
        raise TooLarge(what, f"the quote has more than {_MOST_BOXES:,} lines", "quote less of the page")
    return boxes


def _not_on_page(read: ReadPage, request: RenderRequest, what: str) -> NotFound:
    pages = sorted({word.page for word in read.words})
    if request.chunk is not None and request.page not in pages:
        where = f"page {pages[0]}" if len(pages) == 1 else f"pages {pages[0]} to {pages[-1]}"
        return NotFound(what, f"the passage {request.chunk} is not on it", f"it is on {where}")
    hint = "give the words exactly as on the page, e.g. the `quote` of a citation, and its `page`"
    return NotFound(what, "the quote is not on it", hint)
