"""Maintains and searches the full-text index: one FTS5 row for each findable chunk, under the chunk's number.

Columns, in the order of `match`'s weights: `name` (path as words), `about` (the document's title), `heading` (the
heading path), `text`. The tokenizer unicode61 folds case and diacritics; porter stems English words and mostly leaves
those of other languages as they are.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

from collections.abc import Collection, Sequence

import apsw

from appliance.store.database.connection import rows, run, value
from appliance.store.database.secure_cleaning import mark_dirty
from appliance.store.database.storable_text import storable
from appliance.store.indexes.document_names import search_name
from appliance.store.indexes.fulltext_rewrite import rewrite
from appliance.store.indexes.vectors import in_list

_SECURE_DELETE = "INSERT INTO passages (passages, rank) VALUES ('secure-delete', ?)"
_ROWS_KEPT_PER_ROW_DELETED = 200
"""Up to this ratio a rewrite is faster than secure deletion: 13 µs a kept row against 1 to 4 ms a deleted one."""

COLUMNS = ("name", "about", "heading", "text")


def index_revision(
    connection: apsw.Connection, revision: int, path: bytes, title: str, first_ordinal: int = 0, most: int = -1
) -> None:
    """Add the revision's chunks from `first_ordinal` on, at most `most` (-1 for all); chunks already there stay."""
    run(
        connection,
        "INSERT INTO passages (rowid, name, about, heading, text)"
        " SELECT c.id, ?1, ?2, (SELECT coalesce(group_concat(h.value, char(10)), '') FROM json_each(c.heading) h), c.text"
        " FROM chunks c WHERE c.revision = ?3 AND c.ordinal >= ?4 AND (?5 < 0 OR c.ordinal < ?4 + ?5)"
        " AND NOT EXISTS (SELECT 1 FROM passages_docsize s WHERE s.id = c.id) ORDER BY c.id",
        (search_name(path), title, revision, first_ordinal, most),
    )


def unindex_revision(connection: apsw.Connection, revision: int) -> None:
    """Take the revision's chunks out of the index, leaving no trace of their words in the index's pages.

    FTS5's secure deletion takes milliseconds a row, because it edits every word's list. For many rows it is faster to
    delete without it and rewrite the whole index, which costs some microseconds for each row that stays. A merge that
    FTS5 has begun must end first, or the deletion marks, which contain the words, outlive the rewrite.
    """
    mark_dirty(connection)
    count = value(connection, "SELECT count(*) FROM chunks WHERE revision = ?", (revision,))
    rewrites = count * _ROWS_KEPT_PER_ROW_DELETED > value(connection, "SELECT count(*) FROM passages_docsize")
    if rewrites:
        for _ in range(2):  # the first one may only end the begun merge
            rewrite(connection)
    run(connection, _SECURE_DELETE, (0 if rewrites else 1,))
    run(connection, "DELETE FROM passages WHERE rowid IN (SELECT id FROM chunks WHERE revision = ?)", (revision,))
    if rewrites:
        rewrite(connection)
        run(connection, _SECURE_DELETE, (1,))


def has_some_of(connection: apsw.Connection, revision: int) -> bool:
    """Whether any chunk of the revision is in the index."""
    some = "SELECT 1 FROM chunks c JOIN passages_docsize s ON s.id = c.id WHERE c.revision = ? LIMIT 1"
    return value(connection, some, (revision,)) is not None


def drop(connection: apsw.Connection, chunks: str) -> None:
    """Take the chunks of an SQL list out of the index. Their words leave it with the rewrite (`Rewriting`)."""
    run(connection, _SECURE_DELETE, (0,))
    run(connection, f"DELETE FROM passages WHERE rowid IN {chunks}")
    run(connection, _SECURE_DELETE, (1,))


def match(
    connection: apsw.Connection,
    query: str,
    limit: int,
    weights: Sequence[float],
    collections: Collection[int] | None,
    documents: Collection[int] | None,
    but: Collection[int] = (),
) -> list[tuple[int, float]]:
    """The `limit` chunks with the highest BM25 score for an FTS5 query, best first, as (chunk, score).

    Leaves out the chunks of the revisions `but`.
    """
    ranking = f"bm25({', '.join(repr(float(weight)) for weight in weights)})"
    where = ""
    if collections is not None:
        where += f" AND d.collection IN {in_list(collections)}"
    if documents is not None:
        where += f" AND d.id IN {in_list(documents)}"
    if but:
        where += f" AND c.revision NOT IN {in_list(but)}"
    joins = " CROSS JOIN chunks c ON c.id = p.rowid CROSS JOIN documents d ON d.id = c.document" if where else ""
    found = rows(
        connection,
        f"SELECT p.rowid, p.rank FROM passages p{joins}"
        f" WHERE passages MATCH ? AND p.rank MATCH ?{where} ORDER BY p.rank LIMIT ?",
        (storable(query), ranking, limit),
    )
    return [(number, -score) for number, score in found]
