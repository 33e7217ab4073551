"""The files of the library, how they were read, and their pages' pictures."""

from typing import Literal

from pydantic import Field

from appliance.wire.base import Reply

MAX_QUOTE_CHARS = 4000
"""It travels in the request's first line, which servers keep short."""
LEAST_DPI, USUAL_DPI, MOST_DPI = 36, 144, 300
"""Of a page's picture."""

DocumentState = Literal["pending", "indexing", "indexed", "failed"]


class Sources(Reply):
    """Pages by where their text comes from: their own, recognised from their picture, nowhere though there is something
    on them, or nowhere as there is nothing."""

    text: int = 0
    ocr: int = 0
    skipped: int = 0
    empty: int = 0


class Reading(Reply):
    """How a document was read: its content and the versions of the code that read it, and what was found.

    `tables` counts the table rows in its passages, null where that was not counted yet. Author and dates are
    what the document says of itself; so is the language, which is guessed where it says none. `period` is the day on which
    the period that it reports on ended, else its year.
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
    """Pages a second, while it is being read and as soon as that can be said; so is the next."""
    seconds_left: float | None = None
    chunks: int = 0
    pages_skipped: int = 0
    """Pages of what can be found that could not be read though they show something."""
    size: int
    modified: str
    attempts: int = 0
    next_attempt: str | None = None
    reading: Reading | None = None
    """Only where one document was asked for, and something of it has been read."""


class DocumentList(Reply):
    """A page of documents; `next` is the cursor of the next page."""

    documents: list[Document]
    next: str | None = None


class LibraryAccepted(Reply):
    """What the library's folder holds is what counts; so many documents are not in it."""

    missing: int


class DocumentAdded(Reply):
    """The name a file got in the library."""

    document: str
    collection: str
    size: int
    replaced: bool = False
