"""A page of a document as a picture, with the words of a passage or a quote marked.

Blocking: call it through a worker thread. The file is the document's own, opened below the library without following
links, and it must still be the one that was indexed: boxes of one content on the page of another would lie.
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


class Drawer(Protocol):
    """Draws a page in the parser's sandbox; the composition root binds `ingest`'s."""

    def draw(self, path: bytes, sha256: str, number: int, dpi: int, boxes: Sequence[Box], stop: Event) -> PageImage: ...


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """A page, how fine, and what is to be marked on it: a passage, a quote, a quote within a passage, or nothing."""

    page: int
    dpi: int
    chunk: str | None = None
    quote: str | None = None


class PageRenderer:
    """Thread-safe."""

    def __init__(self, store: Store, drawer: Drawer) -> None:
        self._store = store
        self._drawer = drawer

    def render(self, row: DocumentRow, wanted: RenderRequest, stop: Event) -> PageImage:
        """Draw a page; ends early when `stop` is set.

        Raises:
            NotFound: there is no such page, or passage; or what is to be marked does not stand on that page.
            Conflict, FileChanged: the document has not been read, or its file is another by now.
            TooLarge: the quote has too many lines.
            IngestError: the file cannot be read any more, or drawing the page takes more than is allowed.
        """
        what = f"page {wanted.page} of {display_name(row.path)}"
        read = self._store.read_page(row.id, wanted.page, wanted.chunk)
        if read is None or not read.revision.pages:
            hint = "`docent documents show` says what became of it"
            raise Conflict(what, f"the document is {row.state}: its pages are not known", hint)
        if not 1 <= wanted.page <= read.revision.pages:
            raise NotFound(what, f"the document has {read.revision.pages} pages", "pages count from 1")
        boxes = _boxes(read, wanted, what)
        return self._drawer.draw(row.path, read.revision.sha256, wanted.page, wanted.dpi, boxes, stop)


def _boxes(read: ReadPage, wanted: RenderRequest, what: str) -> tuple[Box, ...]:
    if wanted.chunk is None and wanted.quote is None:
        return ()
    if read.page is None:
        raise Conflict(what, "it has not been read yet", "ask again when the document is indexed")
    words = PageWords(wanted.page, read.page.text, read.words)
    boxes = passage_boxes(words) if wanted.quote is None else quote_boxes(words, wanted.quote)
    if not boxes:
        raise _not_there(read, wanted, what)
    if len(boxes) > _MOST_BOXES:
        raise TooLarge(what, f"the quote has more than {_MOST_BOXES} lines", "quote less of the page")
    return boxes


def _not_there(read: ReadPage, wanted: RenderRequest, what: str) -> NotFound:
    pages = sorted({word.page for word in read.words})
    if wanted.chunk is not None and wanted.page not in pages:
        where = f"page {pages[0]}" if len(pages) == 1 else f"pages {pages[0]} to {pages[-1]}"
        return NotFound(what, f"the passage {wanted.chunk} does not stand on it", f"it stands on {where}")
    hint = "give the words as they stand on the page, e.g. the `quote` of a citation, and its `page`"
    return NotFound(what, "the quote does not stand on it", hint)
