"""The values that flow from a file to the store, and the two protocols at its ends.

Coordinates are PDF points from the page's top left. Pages count from 1. Character offsets are Python string indices.
A `Page`'s text is the page's own text, character for character; a `Chunk`'s text is normalised (hyphenation joined,
ligatures and white space resolved), and `Chunk.words` maps each of its words back to the page's own.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]

Source = Literal["text", "ocr", "skipped", "empty"]
"""How a page was read: its own text; its picture's words recognised; not at all, though it shows something; nothing on it."""

EXTRACTOR_VERSION = 5
"""Raised whenever the same file would give other pages."""

CHUNKER_VERSION = 3
"""Raised whenever the same pages would give other chunks."""

TEMPLATE_VERSION = 2
"""Raised whenever the same chunk would give another embedded text."""


Made = TypeVar("Made", bound=tuple[Any, ...])


def made_of(kind: type[Made], fields: Iterable[tuple[Any, ...]]) -> list[Made]:
    """Named tuples by the thousand: their own constructor takes three times as long, so the caller sees to the fields."""
    return list(map(partial(tuple.__new__, kind), fields))


class Word(NamedTuple):
    """One word of a page: `page.text[start:end]` and where it stands. A tuple, as thousands a second are made."""

    start: int
    end: int
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page in reading order; `block` numbers the paragraph-like block the reader saw it in."""

    words: tuple[Word, ...]
    box: Box
    block: int
    size: float
    """Largest font size in points."""
    bold: bool
    marked: bool = False
    """All of it in italics or in another colour than the grey of print."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page as the parser's child read it."""

    number: int
    text: str
    width: float
    height: float
    lines: tuple[Line, ...]
    label: str = ""
    source: Source = "text"
    warning: str = ""
    """What went wrong with it, in plain words."""
    turned: int = 0
    """By how many quarters, clockwise, the boxes of its lines are turned from the page as it is displayed, whose size
    `width` and `height` are: those of a scan lying on its side, so that its text stands upright (see `turned`)."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One entry of a document's own outline."""

    level: int
    """From 1, the outermost."""
    title: str
    page: int
    """Where it leads; 0 when it leads nowhere in this document."""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What is known of a document before its first page: its own statements, often missing, sometimes nonsense."""

    pages: int
    title: str
    author: str = ""
    created: str = ""
    """RFC 3339; empty when it names none. So is `modified`."""
    modified: str = ""
    language: str = ""
    """A language tag such as "en" or "de-AT"."""
    outline: tuple[Bookmark, ...] = ()
    """Its bookmarks in their order, at most as many as `Limits.bookmarks`."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A PNG, its size in pixels, and at how many dots an inch it was drawn: fewer than asked where the page is huge."""

    png: bytes
    width: int
    height: int
    dpi: int


class ChunkWord(NamedTuple):
    """A word of `Chunk.text[start:end]` and its source, `page.text[source_start:source_end]` of page `page`.

    A hyphenated word that spans two lines has two entries with adjoining ranges.
    """

    start: int
    end: int
    page: int
    source_start: int
    source_end: int
    box: Box


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: what is embedded, searched and cited."""

    ordinal: int
    page: int
    page_last: int
    heading: tuple[str, ...]
    """Heading path, outermost first."""
    text: str
    words: tuple[ChunkWord, ...]
    table_rows: int = 0
    """How many of its lines are rows of tables."""


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """A chunk with the text that was embedded for it (see `chunk.embedded_text`) and its vector, shape (dimensions,)."""

    chunk: Chunk
    embedded_text: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: the pages read since the last batch, the chunks that ended on them, progress."""

    pages: tuple[Page, ...]
    chunks: tuple[EmbeddedChunk, ...]
    pages_done: int
    title: str
    """The document's title as far as known: metadata, else the first page's most prominent lines."""
    language: str = ""
    """Guessed from the first page with enough words; what the document says itself goes before it."""
    period: str = ""
    """What its first pages say the report is about: the day on which the period ended ("2023-06-24"), else its year."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a revision stands in the store: nothing, or after the last committed batch."""

    pages_done: int = 0
    chunks_done: int = 0


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells one state of a file from another without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """The identity of one content of a document as read by one version of the code."""

    sha256: str
    extractor: int = field(default=EXTRACTOR_VERSION)
    chunker: int = field(default=CHUNKER_VERSION)
    template: int = field(default=TEMPLATE_VERSION)
    chunking: str = ""
    """What else its chunks depend on: the tokenizer and the lengths. Only work that was begun with the same goes on."""


class Embedder(Protocol):
    """What the pipeline needs of an embedding model."""

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, special tokens not counted."""

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]:
        """Vectors in the order of `texts`; each depends on its own text alone."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each token, never truncated."""


class Sink(Protocol):
    """Where the pipeline's batches go: one revision of one document, already opened."""

    def progress(self) -> Progress:
        """What is already committed of this revision."""

    def holds(self, page: Page) -> bool:
        """Whether this page was committed with the same text, read in the same way."""

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        """Vectors that the store already has for these embedded texts."""

    def begin(self, info: DocumentInfo) -> None:
        """Record the number of pages before the first batch."""

    def announce(self, recognised: int) -> None:
        """Let be seen, while the next batch is slow to come, what `begin` was told and that the text of pages up to this
        number was recognised. Nothing but what was committed is kept."""

    def commit(self, batch: Batch) -> None:
        """Write a batch and the progress in one transaction; when it returns, the batch is durable."""

    def complete(self) -> None:
        """Make this revision the one that answers, and drop the one before it, in one transaction."""


def identity_of(status: os.stat_result) -> FileIdentity:
    """What tells one state of a file from another without reading it."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def same_content(one: FileIdentity, other: FileIdentity) -> bool:
    """Whether nothing was written between the two. A rename or chmod in between, which moves ctime, is no change."""
    return (one.device, one.inode, one.size, one.mtime_ns) == (other.device, other.inode, other.size, other.mtime_ns)
