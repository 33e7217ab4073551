"""The values that the store hands out.

Inside the appliance documents and chunks are numbered; outside they are opaque strings (`ids.py`). Paths and
collections are bytes, as the file system has them; `names.display` makes them readable.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ingest.types import FileIdentity

State = Literal["pending", "indexing", "indexed", "failed"]
STATES: tuple[State, ...] = ("pending", "indexing", "indexed", "failed")

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
class Standing:
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
    """Why it failed; this and the next two are empty in any other state."""
    reason: str
    hint: str
    identity: FileIdentity
    title: str
    pages: int
    """Of the revision being read, else of the one that answers; so are `pages_done` and `title`."""
    pages_done: int
    chunks: int
    """How many chunks of this document can be found."""
    ticket: int
    """Changes whenever the file is queued; hand it back so that an outdated result is not taken for the newest."""


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
