"""Checks the store: SQLite's own checks, and the rules that only Docent knows."""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

from collections.abc import Iterator

import apsw

from appliance.store.database.connection import rows, value
from appliance.store.indexes.vectors import VectorIndex
from appliance.store.tables.documents import REMOVED_REVISIONS, STANDING
from appliance.store.tables.removal import LARGE

_FINDABLE = (
    "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document AND coalesce(d.serving, d.building) = c.revision"
)

_REMOVED = f"SELECT c.id FROM chunks c WHERE c.revision IN ({REMOVED_REVISIONS})"

_PREPARED = (
    "SELECT c.id FROM chunks c JOIN documents d ON d.building = c.revision JOIN revisions r ON r.id = c.revision"
    f" WHERE d.serving IS NOT NULL AND r.chunks >= {LARGE}"
)

_NAMED = "SELECT d.id FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building) WHERE r.chunks > 0"

# Each query counts rows that break a rule. The first group is about the serving model's vectors, if there is one.
_VECTOR_RULES = (
    (
        "chunks without a vector",
        "SELECT count(*) FROM chunks c WHERE NOT EXISTS"
        " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = {embedder})",
    ),
    (
        "findable chunks missing from the vector index",
        f"SELECT count(*) FROM ({_FINDABLE} EXCEPT SELECT rowid FROM {{table}}_rowids)",
    ),
    (
        "vector index rows of chunks that must not be found",
        f"SELECT count(*) FROM (SELECT rowid FROM {{table}}_rowids EXCEPT {_FINDABLE})",
    ),
    (
        "vector index rows in the wrong collection or document",
        "SELECT count(*) FROM {table} i JOIN chunks c ON c.id = i.rowid JOIN documents d ON d.id = c.document"
        " WHERE i.collection <> d.collection OR i.document <> c.document",
    ),
    (
        "findable documents without a name vector, or the other way round",
        f"SELECT (SELECT count(*) FROM ({_NAMED} EXCEPT SELECT document FROM name_vectors WHERE embedder = {{embedder}}))"
        f" + (SELECT count(*) FROM (SELECT document FROM name_vectors WHERE embedder = {{embedder}} EXCEPT {_NAMED}))",
    ),
)
_RULES = (
    (
        "vectors without a chunk",
        "SELECT count(*) FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = v.text_hash)",
    ),
    (
        "name vectors of documents that cannot be found",
        f"SELECT count(*) FROM (SELECT document FROM name_vectors EXCEPT {_NAMED})",
    ),
    (
        "name vectors of different names for one document",
        "SELECT count(*) FROM (SELECT document FROM name_vectors GROUP BY document HAVING count(DISTINCT text) > 1)",
    ),
    (
        "embedding models beyond the serving one and its successor, or none",
        "SELECT count(*) NOT IN (1, 2) FROM embedders",
    ),
    (
        "findable chunks missing from the full text",
        f"SELECT count(*) FROM ({_FINDABLE} EXCEPT SELECT id FROM passages_docsize)",
    ),
    (
        "full-text rows of chunks that must not be found",
        f"SELECT count(*) FROM (SELECT id FROM passages_docsize EXCEPT {_FINDABLE} EXCEPT {_REMOVED} EXCEPT {_PREPARED})",
    ),
    (
        "full-text rows with another title than their revision's",
        "SELECT count(*) FROM passages p JOIN chunks c ON c.id = p.rowid JOIN revisions r ON r.id = c.revision"
        " WHERE p.about <> r.title",
    ),
    (
        "findable documents without their source's full-text row, or the other way round",
        f"SELECT (SELECT count(*) FROM ({_NAMED} EXCEPT SELECT id FROM sources_docsize))"
        f" + (SELECT count(*) FROM (SELECT id FROM sources_docsize EXCEPT {_NAMED}))",
    ),
    (
        "revisions that no document refers to",
        "SELECT count(*) FROM revisions r JOIN documents d ON d.id = r.document"
        f" WHERE {STANDING} AND r.id NOT IN (coalesce(d.serving, 0), coalesce(d.building, 0))",
    ),
    (
        "revisions whose chunk count is wrong",
        "SELECT count(*) FROM revisions r WHERE r.chunks <> (SELECT count(*) FROM chunks c WHERE c.revision = r.id)",
    ),
)


def check(connection: apsw.Connection, index: VectorIndex | None) -> list[str]:
    """Every fault, in plain words. SQLite's own check compares the full-text index with its content.

    `index` is the serving model's, None without one.
    """
    return [*_sqlite(connection), *_rules(connection, index)]


def _sqlite(connection: apsw.Connection) -> Iterator[str]:
    for (line,) in rows(connection, "PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite: {line}"
    for table, number, parent, _ in rows(connection, "PRAGMA foreign_key_check"):
        yield f"row {number} of {table} refers to a row of {parent} that is not there"
    if value(connection, "PRAGMA auto_vacuum") != 2:
        yield "the file does not give space back: it was not created by Docent"


def _rules(connection: apsw.Connection, index: VectorIndex | None) -> Iterator[str]:
    for wrong, sql in _RULES if index is None else (*_VECTOR_RULES, *_RULES):
        count = value(connection, sql.format(table=index and index.table, embedder=index and index.embedder))
        if count:
            yield f"{count} {wrong}"
