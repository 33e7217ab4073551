"""The library's documents, how they were read, and the limits of page pictures."""

from typing import Literal

from pydantic import Field

from appliance.wire.base import Reply

MAX_QUOTE_CHARS = 4000
"""A quote is sent in the request line, whose length servers limit. Chosen by eye."""
LEAST_DPI, USUAL_DPI, MOST_DPI = 36, 144, 300
"""Resolution of a page's picture in dots per inch. Chosen by eye."""

DocumentState = Literal["pending", "indexing", "indexed", "failed"]


class Sources(Reply):
    """Pages by source of their text: the PDF's own, text recognition, none although the page shows something
    (`skipped`), or none because it is empty."""

    text: int = 0
    ocr: int = 0
    skipped: int = 0
    empty: int = 0


class Reading(Reply):
    """How a document was read: its content, the versions of the code that read it, and the result.

    `tables` counts the table rows in its passages, null if not counted yet. Author, dates and language are the
    document's own metadata; a missing language is guessed. `period` is the day on which the reported period ended, or
    else its year.
    """

    sha256: str
    extractor: int
    chunker: int
    template: int
    complete: bool
    sources: Sources
    tables: int | None = None
    author: str | None = None
    language: str | None = None
    period: str | None = None
    created: str | None = None
    modified: str | None = None
    warnings: list[str] = Field(default_factory=list)


class Document(Reply):
    """One file of the library; `document` is its path relative to `library/`, `modified` RFC 3339 in UTC."""

    id: str
    document: str
    collection: str
    state: DocumentState
    reason: str | None = None
    hint: str | None = None
    title: str | None = None
    pages: int | None = None
    pages_done: int = 0
    rate: float | None = None
    """Pages per second while it is being read, null until known; likewise `seconds_left`."""
    seconds_left: float | None = None
    chunks: int = 0
    pages_skipped: int = 0
    """Pages of the searchable text that could not be read although they show something."""
    size: int
    modified: str
    attempts: int = 0
    next_attempt: str | None = None
    reading: Reading | None = None
    """Only in replies about a single document, once some of it has been read."""


class DocumentList(Reply):
    """A page of documents; `next` is the cursor of the next page."""

    documents: list[Document]
    next: str | None = None


class LibraryAccepted(Reply):
    """The library's folder was accepted as it is; `missing` documents are not in it."""

    missing: int


class DocumentAdded(Reply):
    """The path and size of a file that was added to the library; size in bytes."""

    document: str
    collection: str
    size: int
    replaced: bool = False
