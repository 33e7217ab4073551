"""Compares two stores by content. Reads the tables itself, with none of the store's own code.

    differences(Path("a/docent.db"), Path("b/docent.db"))

Leaves out row numbers, file identities and the queue. Compares everything else that the tables of documents, pages,
chunks, vectors and full text hold, new columns included: documents by path, revisions by their document, pages and
chunks by their number, vectors by their bits. Orphaned rows, which cannot be reached from a document, show in the
counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import sqlite_vec

_KEYS = {"id", "document", "revision", "embedder", "collection", "serving", "building"}
_FILE = {"device", "inode", "size", "mtime_ns", "ctime_ns"}
_DOCUMENT_LEFT_OUT = _KEYS | _FILE | {"sequence", "failed_key", "attempts", "next_attempt", "not_before", "priority"}
_SHADOWS = ("_data", "_idx", "_content", "_docsize", "_config", "_chunks", "_rowids", "_info", "chunks00")
_COMPARED = {"documents", "revisions", "pages", "chunks", "vectors", "name_vectors", "collections", "embedders"}


@dataclass
class Content:
    """The content of a store as flat (key, value) facts, and the names of the tables that were not read."""

    facts: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    other_tables: set[str] = field(default_factory=set)


def read(database: Path) -> Content:
    """Reads a store that no service has open."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        return _Reading(connection).all()
    finally:
        connection.close()


def differences(one: Path, other: Path) -> list[str]:
    """Describes each difference between two stores; empty if their contents are the same."""
    first, second = read(one).facts, read(other).facts
    found = []
    for key in sorted({*first, *second}, key=lambda key: (key[0] == "term", key[0] == "rows", repr(key))):
        if key not in first or key not in second:
            found.append(f"{_shown(key)} is only in {other if key in second else one}")
        elif first[key] != second[key]:
            found.append(f"{_shown(key)} differs: {_shown(first[key])} against {_shown(second[key])}")
    return found


def made_in_all(database: Path, table: str) -> int:
    """Counts the rows ever inserted into a table, deleted ones included."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchall()
        return int(str(found[0][0])) if found else 0
    finally:
        connection.close()


class _Reading:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._content = Content()

    def all(self) -> Content:
        tables = [str(row["name"]) for row in self._rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        index = next(name for name in tables if name.startswith("vec_index_") and name.count("_") == 2)
        for document in self._rows("SELECT * FROM documents"):
            self._document(document, index)
        facts = self._content.facts
        for table in ("documents", "revisions", "pages", "chunks", "vectors", "name_vectors", "collections"):
            facts["rows", table] = self._count(table)
        for table in ("passages_docsize", "sources_docsize", f"{index}_rowids"):
            facts["rows", table.replace(index, "vec_index")] = self._count(table)
        for table in ("passages", "sources"):
            self._full_text(table)
        known = _COMPARED | {"passages", "sources", index, "sqlite_sequence"}
        self._content.other_tables = {name for name in tables if name not in known and not name.endswith(_SHADOWS)}
        return self._content

    def _document(self, document: dict[str, Any], index: str) -> None:
        path, facts = document["path"], self._content.facts
        facts[path, "document"] = _without(document, _DOCUMENT_LEFT_OUT)
        facts[path, "collection"] = self._one("SELECT name FROM collections WHERE id = ?", document["collection"])
        facts[path, "name"] = self._one("SELECT text, vector FROM name_vectors WHERE document = ?", document["id"])
        facts[path, "source"] = self._one("SELECT name, about FROM sources WHERE rowid = ?", document["id"])
        for role in ("serving", "building"):
            if document[role] is not None:
                self._revision((path, role), document[role], index)

    def _revision(self, key: tuple[Any, ...], number: int, index: str) -> None:
        facts = self._content.facts
        facts[*key, "revision"] = _without(self._one("SELECT * FROM revisions WHERE id = ?", number), _KEYS)
        for page in self._rows("SELECT * FROM pages WHERE revision = ?", number):
            facts[*key, "page", page["number"]] = _without(page, _KEYS)
        for chunk in self._rows("SELECT * FROM chunks WHERE revision = ?", number):
            place = (*key, "chunk", chunk["ordinal"])
            facts[*place, "row"] = _without(chunk, _KEYS)
            facts[*place, "vectors"] = self._rows(
                "SELECT e.identity, v.vector FROM vectors v JOIN embedders e ON e.id = v.embedder"
                " WHERE v.text_hash = ? ORDER BY e.identity",
                chunk["text_hash"],
            )
            facts[*place, "words"] = self._one("SELECT * FROM passages WHERE rowid = ?", chunk["id"])
            facts[*place, "signs"] = self._one(f"SELECT signs FROM {index} WHERE rowid = ?", chunk["id"])

    def _full_text(self, table: str) -> None:
        """Records each term's number of rows and of occurrences, from the inverted index itself."""
        self._connection.execute(
            f"CREATE VIRTUAL TABLE temp.{table}_terms USING fts5vocab(main, {table}, row)"
        ).fetchall()
        for row in self._rows(f"SELECT * FROM temp.{table}_terms"):
            self._content.facts["term", table, row["term"]] = (row["doc"], row["cnt"])

    def _count(self, table: str) -> int:
        return int(self._one(f"SELECT count(*) AS n FROM {table}")["n"])

    def _one(self, sql: str, *values: Any) -> dict[str, Any]:
        return next(self._rows_of(sql, *values), {})

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return list(self._rows_of(sql, *values))

    def _rows_of(self, sql: str, *values: Any) -> Iterator[dict[str, Any]]:
        cursor = self._connection.execute(sql, values)
        for row in cursor:
            yield dict(zip((name for name, *_ in cursor.getdescription()), row, strict=True))


def _without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 160 else f"{text[:150]}… ({len(text)} characters)"
