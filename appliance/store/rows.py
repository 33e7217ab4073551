"""The values that the store hands out.

Inside the appliance documents and chunks are numbered; outside they are opaque strings (`ids.py`). Paths and
collections are bytes, as the file system has them; `names.display` makes them readable.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingest.types import ChunkWord, FileIdentity

State = Literal["pending", "indexing", "indexed", "failed"]
STATES: tuple[State, ...] = ("pending", "indexing", "indexed", "failed")
Order = Literal["age", "size"]
"""In which the queue is taken: the longest waiting first, or the smallest."""
Withdrawn = Literal["nothing", "outdated", "everything"]
"""What of a document stops answering: `outdated` is the text of the content before the one being read."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbedderKey:
    """Which embedding model made the vectors.

    `identity` covers everything that changes a vector: file hash, pooling, prefixes, longest input, template version.
    `name` is for people.
    """

    identity: str
    name: str
    dimensions: int
    folder: str = ""
    """Where it was opened; empty for the built-in one."""


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """The embedding models that the store has vectors of; see `embedders.py`."""

    serving: EmbedderKey | None
    target: EmbedderKey | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One file of the library and how far it has been read."""

    id: str
    number: int
    """`id` as the search primitives know it."""
    path: bytes
    collection: bytes
    state: State
    reason_code: str
    """Why it failed or waits for its next attempt; this and the next two are empty otherwise."""
    reason: str
    hint: str
    identity: FileIdentity
    title: str
    pages: int
    """Of the revision being read, else of the one that answers; so are `pages_done` and `title`."""
    pages_done: int
    pages_recognised: int
    """At least `pages_done`; more while text recognition is ahead of what is committed, as nobody but the reader knows."""
    chunks: int
    """How many chunks of this document can be found."""
    skipped: int
    """How many pages of what can be found could not be read."""
    ticket: int
    """Changes whenever the file is queued; hand it back so that an outdated result is not taken for the newest."""
    attempts: int
    """Attempts to read this content since one last made progress."""
    next_attempt: float | None
    """When it is read again by itself, in Unix seconds; None if it is not waiting for a time."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a document could not be read: a stable short name, the cause, and what to do next."""

    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Pages that could not be read though they show something, and the documents that they are of."""

    documents: int = 0
    pages: int = 0


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """What is still to be read."""

    documents: int = 0
    """In the queue: pending or being read."""
    pages: int = 0
    """Left of those whose number of pages is known."""
    unopened: int = 0
    """Those of the queue whose number of pages is not."""
    unopened_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the watcher needs to tell a known file from a new or changed one."""

    id: str
    identity: FileIdentity
    state: State
    reason_code: str


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A chunk that can be found, and where it stands. `heading` is the heading path, outermost first."""

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
    """A page's own text and its size in points; `label` is the number printed on it, if the PDF says so."""

    number: int
    label: str
    text: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One content of a document: its hash, the versions of the code that read it, and how far that is."""

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
    """A page of a revision, None if it has not been read (yet), and the words of passages that stand on it."""

    revision: RevisionRow
    page: PageRow | None
    words: tuple[ChunkWord, ...]


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """How a document was read, up to the pages that are done."""

    revision: RevisionRow
    sources: dict[str, int]
    """Pages by where their text comes from, as `ingest.types.Page.source` has it."""
    troubles: dict[str, tuple[int, ...]]
    """What went wrong, and on which pages."""
    table_rows: int | None
    """None where some passages were made before these were counted."""
    author: str
    language: str
    period: str
    created: str
    modified: str
