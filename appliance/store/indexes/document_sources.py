"""Indexes what identifies a document, as text: one full-text row for each findable document.

Columns: `name` (folders and file name as words) and `about` (the title and the first page's opening words). A question
about "Apple's 10-Q of June 2022" names a document, but hardly any page of it contains these words. So a search first
finds here which document is meant. The row exists exactly as long as the document's name vector.
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import re
import unicodedata
from collections.abc import Collection, Sequence

import apsw

from appliance.store.database.connection import row, rows, run, value
from appliance.store.database.storable_text import storable
from appliance.store.indexes.document_names import search_name
from appliance.store.indexes.vectors import in_list

COLUMNS = ("name", "about")
ABOUT_WORDS = 150
"""Words of the first page that are kept; they cover form, period, parties, place and date of the usual cover page."""

_READ_CHARS = 4000
_WORD = re.compile(r"[^\W_]")


def put(connection: apsw.Connection, document: int, revision: int, path: bytes, title: str) -> None:
    """Write the document's current name and the beginning of this revision to its row."""
    first_page = value(
        connection,
        "SELECT substr(text, 1, ?) FROM pages WHERE revision = ? ORDER BY number LIMIT 1",
        (_READ_CHARS, revision),
    )
    wanted = (search_name(path), about(title, str(first_page or "")))
    if row(connection, "SELECT name, about FROM sources WHERE rowid = ?", (document,)) == wanted:
        return
    drop(connection, document)
    run(connection, "INSERT INTO sources (rowid, name, about) VALUES (?, ?, ?)", (document, *wanted))


def drop(connection: apsw.Connection, document: int) -> None:
    """Delete the document's row."""
    run(connection, "DELETE FROM sources WHERE rowid = ?", (document,))


def about(title: str, first_page: str) -> str:
    """The title and the opening words of the first page, without rules and tick boxes.

    >>> about("Lift agreement", "____  Fennimore Clinic ☒ 2025")
    'Lift agreement Fennimore Clinic 2025'
    """
    return " ".join([*_worded(title), *_worded(first_page)[:ABOUT_WORDS]])


def match(
    connection: apsw.Connection, query: str, limit: int, weights: Sequence[float], collections: Collection[int] | None
) -> list[tuple[int, float]]:
    """The `limit` documents with the highest BM25 score for an FTS5 query, best first, as (document, score)."""
    ranking = f"bm25({', '.join(repr(float(weight)) for weight in weights)})"
    joins = where = ""
    if collections is not None:
        joins = " CROSS JOIN documents d ON d.id = s.rowid"
        where = f" AND d.collection IN {in_list(collections)}"
    found = rows(
        connection,
        f"SELECT s.rowid, s.rank FROM sources s{joins}"
        f" WHERE sources MATCH ? AND s.rank MATCH ?{where} ORDER BY s.rank, s.rowid LIMIT ?",
        (storable(query), ranking, limit),
    )
    return [(number, -score) for number, score in found]


def of_documents(connection: apsw.Connection, documents: Collection[int]) -> dict[int, tuple[str, str]]:
    """The (name, about) columns of the findable ones of these documents."""
    found = rows(connection, f"SELECT rowid, name, about FROM sources WHERE rowid IN {in_list(documents)}")
    return {number: (name, text) for number, name, text in found}


def _worded(text: str) -> list[str]:
    kept = (word for word in unicodedata.normalize("NFKC", text).split() if _WORD.search(word))
    return ["".join(c for c in word if unicodedata.category(c)[0] != "C") for word in kept]
