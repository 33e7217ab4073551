"""Copies what was read from one file to another with the same content, instead of extracting and embedding it again.

Rule: a copy equals what reading the file would produce, row by row, for all columns that the tables have; only row
numbers, the document and the progress are its own. Copying runs in steps that continue from the revision's progress, so
a copy may be interrupted, and may continue a reading or be finished by one.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table and column names; values are bound

import apsw

from appliance.store.database.connection import row, rows, run
from appliance.store.indexes import document_names
from appliance.store.indexes.vectors import VectorIndex
from appliance.store.tables import revisions

_OWN = {
    "pages": {"id", "revision"},
    "chunks": {"id", "revision", "document"},
    "revisions": {"id", "document", "complete", "pages_done", "chunks"},
}


def copy_some(
    connection: apsw.Connection, index: VectorIndex, revision: int, most: int, known_names: document_names.KnownNames
) -> tuple[int, bool] | None:
    """Copy the next `most` chunks, and the pages up to them, from a complete revision with the same content.

    Returns the document's number and whether this was the last step; None if no such revision exists, or no longer.

    Raises:
        UnknownDocument: the document or this revision of it no longer exists.
        NameWanted: the name's vector is needed first.
    """
    standing = revisions.standing_of(connection, revision)
    found = _twin(connection, revision)
    if found is None:
        return None
    twin, title, pages, chunks = found
    last = min(standing.chunks + most, chunks)
    more = last > standing.chunks
    if more and standing.searchable:
        document_names.put(connection, index, standing.document, standing.path, title, known_names)
    _copy_rows(
        connection, "pages", twin, {"revision": revision}, "number", *_pages(connection, revision, twin, last, pages)
    )
    own = {"revision": revision, "document": standing.document}
    _copy_rows(connection, "chunks", twin, own, "ordinal", standing.chunks, last - 1)
    copied = ", ".join(f"{column} = t.{column}" for column in _columns(connection, "revisions"))
    run(
        connection,
        f"UPDATE revisions SET {copied} FROM revisions t WHERE t.id = ? AND revisions.id = ?",
        (twin, revision),
    )
    run(
        connection,
        "UPDATE revisions SET chunks = ?, pages_done ="
        " (SELECT coalesce(max(number), 0) FROM pages WHERE revision = ?2) WHERE id = ?2",
        (last, revision),
    )
    revisions.grown(connection, index, revision, standing, title, standing.chunks if more else None)
    return standing.document, last == chunks


def _twin(connection: apsw.Connection, revision: int) -> tuple[int, str, int, int] | None:
    """A revision with every page read, and equal in the pages that this revision has already.

    Returns number, title, pages and chunks.
    """
    found = row(
        connection,
        "SELECT t.id, t.title, t.pages, t.chunks FROM revisions r JOIN revisions t ON t.sha256 = r.sha256 AND t.complete = 1"
        " AND t.extractor = r.extractor AND t.chunker = r.chunker AND t.template = r.template AND t.chunking = r.chunking"
        " JOIN documents d ON d.serving = t.id WHERE r.id = ? AND t.id <> r.id"
        " AND NOT EXISTS (SELECT 1 FROM pages p WHERE p.revision = t.id AND p.source = 'skipped')"
        " AND NOT EXISTS (SELECT 1 FROM pages p JOIN pages o ON o.revision = r.id AND o.number = p.number"
        " WHERE p.revision = t.id AND (o.source <> p.source OR o.text <> p.text)) ORDER BY t.id LIMIT 1",
        (revision,),
    )
    return None if found is None else (found[0], found[1], found[2], found[3])


def _pages(connection: apsw.Connection, revision: int, twin: int, chunks: int, pages: int) -> tuple[int, int]:
    """The first and last page to copy with the chunks up to `chunks`; with the last chunks, all remaining pages."""
    found = row(
        connection,
        "SELECT coalesce((SELECT max(number) FROM pages WHERE revision = ?1), 0),"
        " (SELECT max(page_last) FROM chunks WHERE revision = ?2 AND ordinal < ?3),"
        " EXISTS (SELECT 1 FROM chunks WHERE revision = ?2 AND ordinal >= ?3)",
        (revision, twin, chunks),
    )
    assert found is not None
    done, last, rest = found
    return done + 1, last if rest else pages


def _copy_rows(
    connection: apsw.Connection, table: str, twin: int, own: dict[str, int], by: str, first: int, last: int
) -> None:
    columns = ", ".join(_columns(connection, table))
    run(
        connection,
        f"INSERT INTO {table} ({', '.join(own)}, {columns}) SELECT {', '.join(str(one) for one in own.values())}, {columns}"
        f" FROM {table} WHERE revision = ? AND {by} BETWEEN ? AND ? ORDER BY {by}",
        (twin, first, last),
    )


def _columns(connection: apsw.Connection, table: str) -> list[str]:
    found = rows(connection, "SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,))
    return [name for (name,) in found if name not in _OWN[table]]
