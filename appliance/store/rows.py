"""The values that the store returns.

Inside the appliance, documents and chunks have numbers; outside they have opaque ids (`ids`). Paths and collections are
bytes, as in the file system; `display.path_names` makes them readable.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingest.types import ChunkWord, FileIdentity

State = Literal["pending", "indexing", "indexed", "failed"]
STATES: tuple[State, ...] = ("pending", "indexing", "indexed", "failed")
Order = Literal["age", "size"]
"""Order of the queue: longest waiting first, or smallest file first."""
Withdrawn = Literal["nothing", "outdated", "everything"]
"""Which text of a document stops answering; `outdated` is the text of the content before the one being read."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbedderKey:
    """An embedding model that made vectors.

    `identity` covers everything that changes a vector: file hash, pooling, prefixes, longest input, template version.
    `name` is for display.
    """

    identity: str
    name: str
    dimensions: int
    folder: str = ""
    """Folder it was opened from; empty for the built-in model."""


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """The embedding models that the store has vectors of; see `tables.embedders`."""

    serving: EmbedderKey | None
    target: EmbedderKey | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A file of the library and how far it has been read."""

    id: str
    number: int
    """The row number behind `id`; searches return this."""
    path: bytes
    collection: bytes
    state: State
    reason_code: str
    """Why it failed or waits for its next attempt. This, `reason` and `hint` are empty otherwise."""
    reason: str
    hint: str
    identity: FileIdentity
    title: str
    pages: int
    """Of the revision being read, else of the one that answers. The same holds for `pages_done` and `title`."""
    pages_done: int
    pages_recognised: int
    """At least `pages_done`; more while text recognition is ahead of the last commit, which only the reader knows."""
    chunks: int
    """Number of chunks that searches can find."""
    skipped: int
    """Number of unreadable pages in the revision that answers."""
    ticket: int
    """Changes whenever the file is queued. Pass it back with a result, so that an outdated result is recognised."""
    attempts: int
    """Attempts to read this content since the last one that made progress."""
    next_attempt: float | None
    """Time of the next automatic attempt, in Unix seconds; None if none is scheduled."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a document could not be read: a stable code, the cause, and what to do next."""

    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Number of pages that show something but could not be read, and of the documents that contain them."""

    documents: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """The work that is left in the queue."""

    documents: int = 0
    """Pending or being read."""
    pages: int = 0
    """Unread pages of the documents whose page count is known."""
    unopened: int = 0
    """Documents whose page count is not known yet."""
    unopened_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the watcher needs to recognise new and changed files."""

    id: str
    identity: FileIdentity
    state: State
    reason_code: str


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A findable chunk with its place. `heading` is the heading path, outermost first."""

    chunk: int
    document: int
    document_id: str
    path: bytes
    collection: bytes
    title: str
    page: int
    page_last: int
    heading: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page's own text and its size in points; `label` is the printed page number, if the PDF states one."""

    number: int
    label: str
    text: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One content of a document: its hash, the versions of the code that read it, and the progress."""

    number: int
    sha256: str
    extractor: int
    chunker: int
    template: int
    pages: int
    pages_done: int
    complete: bool


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page of a revision, None if it has not been read, and the words of the passages on it."""

    revision: RevisionRow
    page: PageRow | None
    words: tuple[ChunkWord, ...]


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """How a document was read, as far as its pages are done."""

    revision: RevisionRow
    sources: dict[str, int]
    """Number of pages by the source of their text (`ingest.types.Page.source`)."""
    troubles: dict[str, tuple[int, ...]]
    """Page numbers by warning."""
    table_rows: int | None
    """None if some passages were made before table rows were counted."""
    author: str
    language: str
    period: str
    created: str
    modified: str
