r"""Turns a document's path into words for the search, and stores the vector of its name.

A path never enters the embedded text of a chunk. It has a column of its own in the full-text index and one vector for
each document, so a rename changes these two and embeds nothing but the name.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import re
import unicodedata
from collections.abc import Collection

import apsw
import numpy as np

from appliance.store.database.connection import row, rows, run
from appliance.store.indexes.vectors import VectorIndex, from_half, in_list, to_half
from appliance.store.rows import Matrix
from ingest.types import Vector

_SEPARATORS = re.compile(r"[\s_./\\+~,;:()\[\]{}-]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_YEAR = re.compile(r"(?<=[^\W\d_])(?=(?:19|20)\d\d(?!\d))|(?<=(?<!\d)(?:19|20)\d\d)(?=[^\W\d_])")
_EXTENSION = re.compile(
    r"\.(?:pdf|epub|x?html?|oxps|xps|mobi|azw|fb2|cbz|txt|md|docx|xlsx|pptx|svg|png|jpe?g|tiff?|gif|bmp)$",
    re.IGNORECASE,
)


def collection_of(path: bytes) -> bytes:
    """The first component of a path; b"" for a file at the root."""
    first, separator, _ = path.partition(b"/")
    return first if separator else b""


def search_name(path: bytes, title: str = "") -> str:
    """Folders and file name as words, plus the title if it has other words; the name vector embeds this text.

    >>> search_name(b"reports/2022Q3-AAPL_10Q.pdf")
    'reports 2022 Q3 AAPL 10Q'
    """
    name = unicodedata.normalize("NFC", path.decode("utf-8", "replace"))
    name = _YEAR.sub(" ", _CAMEL.sub(" ", _EXTENSION.sub("", name)))
    words = " ".join(part for part in _SEPARATORS.split(name) if part)
    if title and not set(title.lower().split()) <= set(words.lower().split()):
        return f"{words} {' '.join(title.split())}".strip()
    return words


KnownNames = dict[tuple[int, str], Vector]
"""Vectors of names by (number of the model, text of the name)."""


class NameWanted(Exception):
    """Raised inside a transaction that needs the vector of a name: roll back, embed `text`, run it again."""

    def __init__(self, embedder: int, identity: str, text: str) -> None:
        super().__init__(text)
        self.embedder = embedder
        self.identity = identity
        self.text = text


def put(
    connection: apsw.Connection, index: VectorIndex, document: int, path: bytes, title: str, known: KnownNames
) -> None:
    """Store the vector of the document's current name, taken from `known`. Vectors of an earlier name are deleted.

    Raises:
        NameWanted: `known` lacks it.
    """
    text, embedder = search_name(path, title), index.embedder
    held = row(connection, "SELECT text FROM name_vectors WHERE document = ? AND embedder = ?", (document, embedder))
    if held == (text,):
        return
    if (embedder, text) not in known:
        raise NameWanted(embedder, index.identity, text)
    drop(connection, document)
    run(
        connection,
        "INSERT INTO name_vectors (document, embedder, text, vector) VALUES (?, ?, ?, ?)",
        (document, embedder, text, to_half(known[embedder, text])),
    )


def drop(connection: apsw.Connection, document: int) -> None:
    """Delete the document's name vectors."""
    run(connection, "DELETE FROM name_vectors WHERE document = ?", (document,))


def matrix(
    connection: apsw.Connection, embedder: int, dimensions: int, collections: Collection[int] | None
) -> tuple[list[int], Matrix]:
    """The findable documents and their name vectors, shape (documents, dimensions)."""
    where = "" if collections is None else f" AND d.collection IN {in_list(collections)}"
    found = rows(
        connection,
        "SELECT n.document, n.vector FROM name_vectors n JOIN documents d ON d.id = n.document"
        f" WHERE n.embedder = ?{where} ORDER BY n.document",
        (embedder,),
    )
    if not found:
        return [], np.empty((0, dimensions), np.float32)
    return [number for number, _ in found], from_half([vector for _, vector in found], dimensions)
