"""Full text: one FTS5 row for each chunk that can be found, under the chunk's number.

Columns, in the order of `match`'s weights: `name` (path as words), `about` (the document's title), `heading` (the
heading path), `text`. Words are folded by unicode61 (case, diacritics) and stemmed by porter, which is for English
and leaves other languages' words as they are for the most part.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

from collections.abc import Collection, Sequence

import apsw

from appliance.store.database.connection import rows, run, value
from appliance.store.database.secure_cleaning import soil
from appliance.store.database.storable_text import storable
from appliance.store.indexes.document_names import search_name
from appliance.store.indexes.fulltext_rewrite import rewrite
from appliance.store.indexes.vectors import in_list

_SECURE_DELETE = "INSERT INTO passages (passages, rank) VALUES ('secure-delete', ?)"
_ROWS_KEPT_PER_ROW_DELETED = 200

COLUMNS = ("name", "about", "heading", "text")


def index_revision(
    connection: apsw.Connection, revision: int, path: bytes, title: str, first_ordinal: int = 0, most: int = -1
) -> None:
    """Add the revision's chunks from `first_ordinal` on, `most` of them at the most; those already there stay."""
    run(
        connection,
        "INSERT INTO passages (rowid, name, about, heading, text)"
        " SELECT c.id, ?1, ?2, (SELECT coalesce(group_concat(h.value, char(10)), '') FROM json_each(c.heading) h), c.text"
        " FROM chunks c WHERE c.revision = ?3 AND c.ordinal >= ?4 AND (?5 < 0 OR c.ordinal < ?4 + ?5)"
        " AND NOT EXISTS (SELECT 1 FROM passages_docsize s WHERE s.id = c.id) ORDER BY c.id",
        (search_name(path), title, revision, first_ordinal, most),
    )


def unindex_revision(connection: apsw.Connection, revision: int) -> None:
    """Take the revision's chunks out of the full text, leaving no trace of their words in the index's pages.

    FTS5's secure deletion takes milliseconds a row, as it edits every word's list. Where many rows go, it is faster
    to delete without it and to write the whole index anew, which costs some microseconds for each row that stays. A merge
    that FTS5 has begun is ended first, else the marks of what was deleted, words and all, outlive the writing anew.
    """
    soil(connection)
    count = value(connection, "SELECT count(*) FROM chunks WHERE revision = ?", (revision,))
    anew = count * _ROWS_KEPT_PER_ROW_DELETED > value(connection, "SELECT count(*) FROM passages_docsize")
    if anew:
        for _ in range(2):  # the first may only end the merge that was begun
            rewrite(connection)
    run(connection, _SECURE_DELETE, (0 if anew else 1,))
    run(connection, "DELETE FROM passages WHERE rowid IN (SELECT id FROM chunks WHERE revision = ?)", (revision,))
    if anew:
        rewrite(connection)
        run(connection, _SECURE_DELETE, (1,))


def has_some_of(connection: apsw.Connection, revision: int) -> bool:
    """Whether any chunk of the revision is in the full text."""
    some = "SELECT 1 FROM chunks c JOIN passages_docsize s ON s.id = c.id WHERE c.revision = ? LIMIT 1"
    return value(connection, some, (revision,)) is not None


def drop(connection: apsw.Connection, chunks: str) -> None:
    """Take chunks, listed for SQL, out of the full text; their words leave it when it is written anew (`Rewriting`)."""
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
    """The `limit` chunks of the highest BM25 for an FTS5 query, best first, as (chunk, score); none of revisions `but`."""
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
