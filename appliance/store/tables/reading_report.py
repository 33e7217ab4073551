"""Reports how a document was read: its revision, its pages, and the words of its passages page by page.

Rule: reports on the revision that answers, else the one being read. Call these functions inside one snapshot.
"""

import apsw

from appliance.store.database.connection import row, rows, value
from appliance.store.ids import chunk_id, unknown_chunk
from appliance.store.rows import PageRow, ReadingRow, ReadPage, RevisionRow
from appliance.store.tables import word_map
from ingest.types import ChunkWord

_REVISION = "FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"


def revision(connection: apsw.Connection, document: int) -> RevisionRow | None:
    """The document's revision; None if nothing has been read."""
    found = row(
        connection,
        "SELECT r.id, r.sha256, r.extractor, r.chunker, r.template, r.pages, r.pages_done, r.complete"
        f" {_REVISION} WHERE d.id = ?",
        (document,),
    )
    return None if found is None else RevisionRow(*(*found[:-1], bool(found[-1])))


def reading(connection: apsw.Connection, document: int) -> ReadingRow | None:
    """How the document was read; None if nothing has been read."""
    held = revision(connection, document)
    if held is None:
        return None
    said = row(
        connection, "SELECT author, language, period, created, modified FROM revisions WHERE id = ?", (held.number,)
    )
    assert said is not None
    found = rows(connection, "SELECT source, count(*) FROM pages WHERE revision = ? GROUP BY source", (held.number,))
    counted = value(
        connection,
        "SELECT CASE WHEN count(table_rows) = count(*) THEN coalesce(sum(table_rows), 0) END FROM chunks WHERE revision = ?",
        (held.number,),
    )
    return ReadingRow(held, dict(found), _troubles(connection, held.number), counted, *said)


def _troubles(connection: apsw.Connection, revision: int) -> dict[str, tuple[int, ...]]:
    found = rows(
        connection,
        "SELECT number, warning FROM pages WHERE revision = ? AND warning <> '' ORDER BY number",
        (revision,),
    )
    troubles: dict[str, list[int]] = {}
    for number, warning in found:
        troubles.setdefault(warning, []).append(number)
    return {warning: tuple(numbers) for warning, numbers in troubles.items()}


def read_page(connection: apsw.Connection, document: int, number: int, chunk: int | None) -> ReadPage | None:
    """A page with the words of its passages, or of one passage; None if nothing has been read.

    Raises:
        NotFound: the chunk no longer exists, or belongs to another document.
    """
    held = revision(connection, document)
    if held is None:
        return None
    found = row(
        connection,
        "SELECT number, label, text, width, height FROM pages WHERE revision = ? AND number = ?",
        (held.number, number),
    )
    return ReadPage(held, PageRow(*found) if found else None, _words(connection, held.number, number, chunk))


def _words(connection: apsw.Connection, revision: int, number: int, chunk: int | None) -> tuple[ChunkWord, ...]:
    if chunk is not None:
        found = rows(connection, "SELECT words FROM chunks WHERE revision = ? AND id = ?", (revision, chunk))
        if not found:
            raise unknown_chunk(chunk_id(chunk))
    else:
        found = rows(
            connection,
            "SELECT words FROM chunks WHERE revision = ?1 AND page <= ?2 AND page_last >= ?2 ORDER BY ordinal",
            (revision, number),
        )
    return tuple(word for (packed,) in found for word in word_map.unpack(packed))
