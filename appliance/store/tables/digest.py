"""Computes a fingerprint of everything in the store that does not depend on the order of events.

Two stores that have read the same library have the same digest, crashes or not. Row numbers, file identities and the
queue are left out; documents are ordered by path, chunks by ordinal. Index rows are included.
"""

import hashlib
from collections.abc import Iterator

import apsw

from appliance.store.database.connection import rows
from appliance.store.indexes.vectors import VectorIndex

_DOCUMENTS = (
    "SELECT d.path, c.name, d.state, d.reason_code, d.reason, coalesce(d.serving, d.building) FROM documents d"
    " JOIN collections c ON c.id = d.collection ORDER BY d.path"
)
_REVISION = "SELECT sha256, extractor, chunker, template, title, pages, pages_done, chunks, complete FROM revisions WHERE id = ?"
_PAGES = "SELECT number, label, width, height, text, source, warning FROM pages WHERE revision = ? ORDER BY number"
_CHUNKS = (
    "SELECT c.ordinal, c.page, c.page_last, c.heading, c.text, c.text_hash, c.words, v.vector,"
    " p.name, p.about, p.heading, p.text, i.signs FROM chunks c"
    " LEFT JOIN vectors v ON v.text_hash = c.text_hash AND v.embedder = {embedder}"
    " LEFT JOIN passages p ON p.rowid = c.id LEFT JOIN {table} i ON i.rowid = c.id"
    " WHERE c.revision = ? ORDER BY c.ordinal"
)
_NAMES = (
    "SELECT d.path, n.text, n.vector FROM name_vectors n JOIN documents d ON d.id = n.document"
    " WHERE n.embedder = ? ORDER BY d.path"
)
_SOURCES = "SELECT d.path, s.name, s.about FROM sources s JOIN documents d ON d.id = s.rowid ORDER BY d.path"
_TOTALS = "SELECT (SELECT count(*) FROM vectors WHERE embedder = {embedder}), (SELECT count(*) FROM passages_docsize), (SELECT count(*) FROM {table}_rowids)"


def digest(connection: apsw.Connection, index: VectorIndex) -> str:
    """SHA-256 of the contents, in hexadecimal."""
    running = hashlib.sha256()
    for part in _parts(connection, index):
        running.update(repr(part).encode("utf-8", "surrogatepass"))
    return running.hexdigest()


def _parts(connection: apsw.Connection, index: VectorIndex) -> Iterator[object]:
    for *document, revision in rows(connection, _DOCUMENTS):
        yield document
        yield from rows(connection, _REVISION, (revision,))
        yield from connection.execute(_PAGES, (revision,))
        yield from connection.execute(_CHUNKS.format(table=index.table, embedder=index.embedder), (revision,))
    yield rows(connection, _NAMES, (index.embedder,))
    yield rows(connection, _SOURCES)
    yield rows(connection, _TOTALS.format(table=index.table, embedder=index.embedder))
