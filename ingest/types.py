"""The values that flow from a file to the store, and the protocols at both ends of the pipeline.

Coordinates are PDF points from the page's top left. Pages count from 1. Character offsets are Python string indices.
A `Page`'s text is the page's own text, character for character. A `Chunk`'s text is normalised (hyphenation joined,
ligatures and white space resolved), and `Chunk.words` maps each of its words back to the page.
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
"""How a page was read: from its text layer ("text"), by text recognition ("ocr"), not at all although it shows
something ("skipped"), or there is nothing on it ("empty")."""

EXTRACTOR_VERSION = 5
"""Increase it whenever the same file would give other pages."""

CHUNKER_VERSION = 3
"""Increase it whenever the same pages would give other chunks."""

TEMPLATE_VERSION = 2
"""Increase it whenever the same chunk would give another embedded text."""


Made = TypeVar("Made", bound=tuple[Any, ...])


def made_of(kind: type[Made], fields: Iterable[tuple[Any, ...]]) -> list[Made]:
    """Build named tuples of `kind` without their constructor, which takes three times as long.

    Nothing is checked: the caller must pass as many fields as `kind` has.
    """
    return list(map(partial(tuple.__new__, kind), fields))


class Word(NamedTuple):
    """One word of a page: `page.text[start:end]` and its box. A tuple, because thousands are made each second."""

    start: int
    end: int
    box: Box


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page in reading order; `block` numbers the parser's block, roughly a paragraph, that it is in."""

    words: tuple[Word, ...]
    box: Box
    block: int
    size: float
    """Largest font size in points."""
    bold: bool
    marked: bool = False
    """Wholly in italics or in colour (not black, grey or white)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page as the parser, or text recognition, read it."""

    number: int
    text: str
    width: float
    height: float
    lines: tuple[Line, ...]
    label: str = ""
    source: Source = "text"
    warning: str = ""
    """What went wrong on this page, in plain words; empty if nothing did."""
    turned: int = 0
    """Quarter turns, clockwise, from the displayed page to the one that the boxes of `lines` lie on. Not 0 for a scan
    that lies on its side or upside down: its boxes are those of the upright text, while `width` and `height` stay those
    of the displayed page (see `ocr.turned_pages`)."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One entry of a document's own outline."""

    level: int
    """From 1, the outermost."""
    title: str
    page: int
    """The page it leads to; 0 if it leads to no page of this document."""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What a document says about itself, known before its first page: often missing, sometimes wrong."""

    pages: int
    title: str
    author: str = ""
    created: str = ""
    """RFC 3339, as `modified`; empty if the document names none."""
    modified: str = ""
    language: str = ""
    """A language tag such as "en" or "de-AT"."""
    outline: tuple[Bookmark, ...] = ()
    """Its bookmarks in order, at most `Limits.bookmarks` of them."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as a PNG for people; its size is in pixels. `dpi` is lower than requested if the page is huge."""

    png: bytes
    width: int
    height: int
    dpi: int


class ChunkWord(NamedTuple):
    """One word of a chunk, `Chunk.text[start:end]`, and its source on `page`: `page.text[source_start:source_end]`.

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
    """A passage: the unit that is embedded, searched and cited."""

    ordinal: int
    page: int
    page_last: int
    heading: tuple[str, ...]
    """Heading path, outermost first."""
    text: str
    words: tuple[ChunkWord, ...]
    table_rows: int = 0
    """Number of its lines that are rows of tables."""


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """A chunk, the text that was embedded for it, and its vector of shape (dimensions,).

    `chunking.chunker.embedded_text` makes the text.
    """

    chunk: Chunk
    embedded_text: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes.

    The pages read since the last batch, the chunks that ended on them, and the progress.
    """

    pages: tuple[Page, ...]
    chunks: tuple[EmbeddedChunk, ...]
    pages_done: int
    title: str
    """The document's title as far as known: from its metadata, else the most prominent lines of its first page."""
    language: str = ""
    """Guessed from the first page with enough words; what the document itself states takes precedence."""
    period: str = ""
    """The period that its first pages say they report on: the day it ended ("2023-06-24"), else its year."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a revision the store holds: nothing, or everything up to the last committed batch."""

    pages_done: int = 0
    chunks_done: int = 0


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Distinguishes one state of a file from another without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """The identity of one version of a document's content, as read by one version of the code."""

    sha256: str
    extractor: int = field(default=EXTRACTOR_VERSION)
    chunker: int = field(default=CHUNKER_VERSION)
    template: int = field(default=TEMPLATE_VERSION)
    chunking: str = ""
    """What else the chunks depend on: the tokenizer and the chunk lengths. Interrupted work continues only if it was
    begun with the same."""


class Embedder(Protocol):
    """What the pipeline needs from an embedding model."""

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, without special tokens."""

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]:
        """The vectors in the order of `texts`; each depends on its own text alone."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets (start, end) of each token; never truncated."""


class Sink(Protocol):
    """Takes the pipeline's batches: one open revision of one document."""

    def progress(self) -> Progress:
        """How much of this revision is already committed."""

    def holds(self, page: Page) -> bool:
        """Whether this page was committed with the same text and the same source."""

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        """The vectors that the store already has, by embedded text."""

    def begin(self, info: DocumentInfo) -> None:
        """Record the number of pages before the first batch."""

    def announce(self, recognised: int) -> None:
        """Publish progress while the next batch takes long: what `begin` received, and the last page whose text was
        recognised. Only what is committed survives a crash."""

    def commit(self, batch: Batch) -> None:
        """Write a batch and the progress in one transaction; the batch is durable once this returns."""

    def complete(self) -> None:
        """In one transaction, make this revision the one that answers and drop its predecessor."""


def identity_of(status: os.stat_result) -> FileIdentity:
    """The identity in the result of `os.stat` or `os.fstat`."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def same_content(one: FileIdentity, other: FileIdentity) -> bool:
    """Whether the content is unchanged; a rename or chmod, which only moves ctime, is no change."""
    return (one.device, one.inode, one.size, one.mtime_ns) == (other.device, other.inode, other.size, other.mtime_ns)
