"""Writes revisions, each of them one content of a document with its pages and chunks, and makes chunks findable.

Rule: a chunk has rows in the full-text and vector indexes exactly if its revision answers: the serving one, or, without
one, the building one. `RevisionProgress.searchable` decides, `_expose` and `_hide` act, `integrity` proves it.
Large revisions are the exception: full-text rows of a new one are added before the switch, those of an old one deleted
after it. `hidden` lists them, and searches leave them out.
Everything here runs inside the caller's transaction.
"""

# ruff: noqa: S608 - what is put into SQL here is our own numbers; values are bound

from dataclasses import dataclass

import apsw

from appliance.store.database.connection import row, rows, run, value
from appliance.store.database.secure_cleaning import mark_dirty
from appliance.store.database.storable_text import storable
from appliance.store.ids import document_id, unknown_document
from appliance.store.indexes import document_names, document_sources, fulltext
from appliance.store.indexes.vectors import VectorIndex, text_hash
from appliance.store.tables import documents, removal
from appliance.store.tables.revision_content import insert_chunks, insert_pages
from ingest.types import Batch, DocumentInfo, Page, Progress, RevisionKey

_PREPARED = 256
"""Chunks that one transaction adds to the full-text index; about 0.1 s."""
_LARGE_BEHIND = (
    "SELECT d.building FROM documents d CROSS JOIN revisions r ON r.id = d.building"
    f" WHERE d.building > 0 AND d.serving > 0 AND r.chunks >= {removal.LARGE}"
)


@dataclass(frozen=True, slots=True)
class RevisionProgress:
    """A revision's progress and its role in its document."""

    document: int
    path: bytes
    serving: int | None
    building: int | None
    title: str
    chunks: int

    @property
    def searchable(self) -> bool:
        """Whether this revision, which is the building one, answers as it grows."""
        return self.serving is None


def failed_key(key: RevisionKey) -> str:
    """The content and the code versions that a failure holds for."""
    return f"{key.sha256}:{key.extractor}:{key.chunker}:{key.template}"


def serves(connection: apsw.Connection, index: VectorIndex, document: int, key: RevisionKey) -> bool:
    """Whether the document's complete revision has this key, and the model takes all of its chunks whole."""
    revision = value(
        connection,
        "SELECT r.id FROM documents d JOIN revisions r ON r.id = d.serving WHERE d.id = ? AND r.complete"
        " AND r.sha256 = ? AND r.extractor = ? AND r.chunker = ? AND r.template = ?",
        (document, *_columns(key)),
    )
    return revision is not None and not value(
        connection,
        "SELECT count(*) FROM chunks c JOIN vectors v ON v.text_hash = c.text_hash AND v.embedder = ?"
        " WHERE c.revision = ? AND v.cut",
        (index.embedder, revision),
    )


def open_building(connection: apsw.Connection, index: VectorIndex, document: int, key: RevisionKey) -> int:
    """The number of the building revision for this key: the current one if it has the key, else a new one in its place.

    A revision begun with another `chunking` is not resumed, since chunks of two sizes do not fit together. If it is
    all that answers for the document, it answers until the new one is complete.
    """
    held = row(
        connection,
        "SELECT r.id, r.chunking, r.sha256, r.extractor, r.chunker, r.template"
        " FROM documents d JOIN revisions r ON r.id = d.building WHERE d.id = ?",
        (document,),
    )
    if held is not None:
        revision, chunking, *columns = held
        if tuple(columns) != _columns(key):
            drop_building(connection, index, document)
        elif chunking == key.chunking:
            return int(revision)
        else:
            begin_anew(connection, index, document)
    run(
        connection,
        "INSERT INTO revisions (document, sha256, extractor, chunker, template, chunking) VALUES (?, ?, ?, ?, ?, ?)",
        (document, *_columns(key), key.chunking),
    )
    revision = connection.last_insert_rowid()
    run(connection, "UPDATE documents SET building = ? WHERE id = ?", (revision, document))
    return revision


def begin_anew(connection: apsw.Connection, index: VectorIndex, document: int) -> None:
    """Abandon the building revision. If it is all that answers, it answers until the next one is complete."""
    held = row(
        connection,
        "SELECT d.serving IS NULL AND r.chunks > 0 FROM documents d JOIN revisions r ON r.id = d.building WHERE d.id = ?",
        (document,),
    )
    if held is not None and held[0]:
        run(connection, "UPDATE documents SET serving = building, building = NULL WHERE id = ?", (document,))
    else:
        drop_building(connection, index, document)


def holds(connection: apsw.Connection, revision: int, page: Page) -> bool:
    """Whether the revision has this page with the same text from the same source."""
    return bool(
        value(
            connection,
            "SELECT count(*) FROM pages WHERE revision = ? AND number = ? AND source = ? AND text = ?",
            (revision, page.number, page.source, storable(page.text)),
        )
    )


def progress(connection: apsw.Connection, revision: int) -> Progress:
    """What is committed of a revision."""
    found = row(connection, "SELECT pages_done, chunks FROM revisions WHERE id = ?", (revision,))
    return Progress() if found is None else Progress(*found)


def begin(connection: apsw.Connection, revision: int, info: DocumentInfo) -> None:
    """Record the number of pages and the metadata; the language only if none is known yet, the title only at the start.

    A batch may have found the metadata's title useless and set none, and a resumed reading must not bring it back.
    """
    standing_of(connection, revision)
    run(
        connection,
        "UPDATE revisions SET pages = ?, author = ?, created = ?, modified = ?,"
        " language = CASE language WHEN '' THEN ? ELSE language END,"
        " title = CASE WHEN title = '' AND pages_done = 0 THEN ? ELSE title END WHERE id = ?",
        (info.pages, *map(storable, (info.author, info.created, info.modified, info.language, info.title)), revision),
    )


def append(
    connection: apsw.Connection, index: VectorIndex, revision: int, batch: Batch, known_names: document_names.KnownNames
) -> int:
    """Write a batch: pages, chunks, vectors, progress, index rows if the revision answers; returns the document.

    Raises:
        UnknownDocument: the document or this revision of it no longer exists.
        NameWanted: the name's vector is needed first.
    """
    standing = standing_of(connection, revision)
    title = storable(batch.title)
    if standing.searchable and batch.chunks:
        document_names.put(connection, index, standing.document, standing.path, title, known_names)
    insert_pages(connection, revision, batch.pages)
    insert_chunks(connection, standing.document, revision, batch.chunks)
    index.store(connection, ((text_hash(chunk.embedded_text), chunk.vector) for chunk in batch.chunks))
    run(
        connection,
        "UPDATE revisions SET pages_done = ?, chunks = chunks + ?, title = ?,"
        " language = CASE language WHEN '' THEN ? ELSE language END, period = ? WHERE id = ?",
        (batch.pages_done, len(batch.chunks), title, batch.language, batch.period, revision),
    )
    first = batch.chunks[0].chunk.ordinal if batch.chunks else None
    grown(connection, index, revision, standing, title, first)
    return standing.document


def grown(
    connection: apsw.Connection,
    index: VectorIndex,
    revision: int,
    standing: RevisionProgress,
    title: str,
    first: int | None,
) -> None:
    """Make the chunks from the ordinal `first` on (None for none) findable, if the revision answers.

    `standing` is the state before they were added. If there are chunks, the name's vector must be stored already.
    """
    if not standing.searchable or (not standing.chunks and first is None):
        return
    document_sources.put(connection, standing.document, revision, standing.path, title)
    if title != standing.title and standing.chunks:
        _hide(connection, index, revision)
        _expose(connection, index, revision, standing.path, title)
    elif first is not None:
        _expose(connection, index, revision, standing.path, title, first)


def complete(
    connection: apsw.Connection, index: VectorIndex, revision: int, known_names: document_names.KnownNames
) -> int:
    """Make the building revision the serving one and drop the previous one; returns the document's number.

    Raises:
        UnknownDocument: the document or this revision of it no longer exists.
        NameWanted: the name's vector is needed first.
    """
    standing = standing_of(connection, revision)
    if standing.chunks:
        document_names.put(connection, index, standing.document, standing.path, standing.title, known_names)
        document_sources.put(connection, standing.document, revision, standing.path, standing.title)
    else:
        _forget_name(connection, standing.document)
    run(
        connection,
        "UPDATE documents SET serving = ?, building = NULL WHERE id = ?",
        (revision, standing.document),
    )
    run(connection, "UPDATE revisions SET complete = 1, pages_done = pages WHERE id = ?", (revision,))
    if standing.serving is not None:
        _retire(connection, index, standing.document, standing.serving)
        _expose(connection, index, revision, standing.path, standing.title)
    return standing.document


def prepare_some(connection: apsw.Connection, revision: int, first: int) -> int | None:
    """Add the next chunks of a large revision, from the ordinal `first` on, to the full-text index before its switch.

    Returns the ordinal to continue with, None at the end. Until the switch, searches leave these rows out (`hidden`);
    the switch adds what is missing.

    Raises:
        UnknownDocument: the document or this revision of it no longer exists.
    """
    standing = standing_of(connection, revision)
    if standing.searchable or standing.chunks < removal.LARGE or first >= standing.chunks:
        return None
    fulltext.index_revision(connection, revision, standing.path, standing.title, first, _PREPARED)
    return first + _PREPARED


def large_behind(connection: apsw.Connection, document: int) -> int | None:
    """The document's building revision, if it is large and another one answers; its switch is prepared in steps."""
    revision = value(connection, f"{_LARGE_BEHIND} AND d.id = ?", (document,))
    assert revision is None or isinstance(revision, int)
    return revision


def hidden(connection: apsw.Connection) -> list[int]:
    """The revisions that do not answer but may have full-text rows: put off, or prepared for their switch."""
    found = rows(connection, f"{documents.REMOVED_REVISIONS} UNION ALL {_LARGE_BEHIND}")
    return [number for (number,) in found]


def drop_building(connection: apsw.Connection, index: VectorIndex, document: int) -> None:
    """Drop the document's building revision."""
    held = row(connection, "SELECT building, serving FROM documents WHERE id = ?", (document,))
    if held is None or held[0] is None:
        return
    building, serving = held
    if serving is None:
        _forget_name(connection, document)
    run(connection, "UPDATE documents SET building = NULL WHERE id = ?", (document,))
    _retire(connection, index, document, building, is_exposed=serving is None)


def drop_outdated(
    connection: apsw.Connection, index: VectorIndex, document: int, known_names: document_names.KnownNames
) -> None:
    """Drop the serving revision; the building one answers from now on, as far as it has been read.

    Raises:
        NameWanted: the name's vector is needed first.
    """
    held = row(
        connection,
        "SELECT d.serving, d.building, d.path, b.title, b.chunks FROM documents d"
        " LEFT JOIN revisions b ON b.id = d.building WHERE d.id = ?",
        (document,),
    )
    if held is None or held[0] is None:
        return
    serving, building, path, title, chunks = held
    if chunks:
        document_names.put(connection, index, document, path, title, known_names)
        document_sources.put(connection, document, building, path, title)
    else:
        _forget_name(connection, document)
    run(connection, "UPDATE documents SET serving = NULL WHERE id = ?", (document,))
    _retire(connection, index, document, serving)
    if chunks:
        _expose(connection, index, building, path, title)


def drop_all(connection: apsw.Connection, index: VectorIndex, document: int) -> None:
    """Drop everything that was read from the document."""
    drop_building(connection, index, document)
    serving = value(connection, "SELECT serving FROM documents WHERE id = ?", (document,))
    if serving is None:
        return
    _forget_name(connection, document)
    run(connection, "UPDATE documents SET serving = NULL WHERE id = ?", (document,))
    _retire(connection, index, document, serving)


def forget_skipped(connection: apsw.Connection, document: int) -> None:
    """Mark a document that answers with pages skipped as outdated, so that it is read again. It answers meanwhile."""
    run(
        connection,
        "UPDATE revisions SET extractor = 0 WHERE id = (SELECT serving FROM documents WHERE id = ?)"
        " AND EXISTS (SELECT 1 FROM pages p WHERE p.revision = revisions.id AND p.source = 'skipped')",
        (document,),
    )


def renamed(
    connection: apsw.Connection,
    index: VectorIndex,
    document: int,
    before: bytes,
    known_names: document_names.KnownNames,
) -> None:
    """Update the indexes for the document's new path. Call it after the path was set.

    Raises:
        NameWanted: the name's vector is needed first.
    """
    _forget_prepared(connection, document)
    found = row(
        connection,
        "SELECT d.path, r.id, r.title, r.chunks FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
        " WHERE d.id = ?",
        (document,),
    )
    if found is None or not found[3]:
        return
    path, revision, title, _ = found
    document_names.put(connection, index, document, path, title, known_names)
    document_sources.put(connection, document, revision, path, title)
    if document_names.search_name(path) != document_names.search_name(before):
        fulltext.unindex_revision(connection, revision)
        fulltext.index_revision(connection, revision, path, title)
    if document_names.collection_of(path) != document_names.collection_of(before):
        index.unindex_revision(connection, revision)
        index.index_revision(connection, revision)


def _forget_prepared(connection: apsw.Connection, document: int) -> None:
    """Take prepared rows, which contain the old name, out of the full-text index; the switch adds them again."""
    building = large_behind(connection, document)
    if building is not None and fulltext.has_some_of(connection, building):
        fulltext.unindex_revision(connection, building)


def standing_of(connection: apsw.Connection, revision: int) -> RevisionProgress:
    """The state of a building revision.

    Raises:
        UnknownDocument: the document or this revision of it no longer exists.
    """
    found = row(
        connection,
        "SELECT d.id, d.path, d.serving, d.building, r.title, r.chunks"
        " FROM revisions r JOIN documents d ON d.building = r.id WHERE r.id = ?",
        (revision,),
    )
    if found is None:
        document = value(connection, "SELECT document FROM revisions WHERE id = ?", (revision,))
        raise unknown_document(document_id(document or 0))
    return RevisionProgress(*found)


def _expose(
    connection: apsw.Connection, index: VectorIndex, revision: int, path: bytes, title: str, first_ordinal: int = 0
) -> None:
    fulltext.index_revision(connection, revision, path, title, first_ordinal)
    index.index_revision(connection, revision, first_ordinal)


def _hide(connection: apsw.Connection, index: VectorIndex, revision: int) -> None:
    fulltext.unindex_revision(connection, revision)
    index.unindex_revision(connection, revision)


def _forget_name(connection: apsw.Connection, document: int) -> None:
    document_names.drop(connection, document)
    document_sources.drop(connection, document)


def _retire(
    connection: apsw.Connection, index: VectorIndex, document: int, revision: int, *, is_exposed: bool = True
) -> None:
    """Delete a revision to which its document no longer refers: at once, or a large one in steps (`removal`)."""
    if removal.is_large(connection, revision):
        removal.put_off(connection, document, revision)
        return
    if is_exposed:
        _hide(connection, index, revision)
    _delete(connection, revision)


def _delete(connection: apsw.Connection, revision: int) -> None:
    """Delete a revision to which no document refers, with the vectors that no other revision uses."""
    mark_dirty(connection)
    run(
        connection,
        "DELETE FROM vectors WHERE text_hash IN (SELECT text_hash FROM chunks WHERE revision = ?1) AND NOT EXISTS"
        " (SELECT 1 FROM chunks c WHERE c.text_hash = vectors.text_hash AND c.revision <> ?1)",
        (revision,),
    )
    run(connection, "DELETE FROM chunks WHERE revision = ?", (revision,))
    run(connection, "DELETE FROM pages WHERE revision = ?", (revision,))
    run(connection, "DELETE FROM revisions WHERE id = ?", (revision,))


def _columns(key: RevisionKey) -> tuple[str, int, int, int]:
    return (key.sha256, key.extractor, key.chunker, key.template)
