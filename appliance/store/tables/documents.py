"""Reads and writes the rows of documents, one for each file of the library. Their queue is in `queue`.

A document keeps its number when its file is renamed or replaced. `serving` is the revision that answers, `building` the
one being read. Without a serving revision, the building one answers as it grows (`RevisionProgress.searchable`).
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import base64
import binascii
from collections.abc import Collection
from typing import Any

import apsw

from appliance.display.path_names import from_display
from appliance.errors import InvalidRequest
from appliance.store.database.connection import Bindings, Row, row, rows, run, value
from appliance.store.database.secure_cleaning import mark_dirty
from appliance.store.database.storable_text import storable_message
from appliance.store.ids import document_id, unknown_document
from appliance.store.indexes.document_names import collection_of
from appliance.store.indexes.vectors import in_list
from appliance.store.rows import STATES, DocumentRow, KnownFile, Skipped, State, WorkLeft
from ingest.types import FileIdentity

STANDING = "+d.path >= X'01'"
"""True for documents that exist; the path of a removed document with rows left begins with a zero byte (`removal`).

The sign keeps SQLite from searching the index by this bound: nearly all rows meet it.
"""
REMOVED = "d.path < X'01'"
REMOVED_REVISIONS = f"SELECT r.id FROM documents d CROSS JOIN revisions r ON r.document = d.id WHERE {REMOVED}"
"""The order of the join makes SQLite look at the removed documents alone."""

_REMOVED_STATE: State = "failed"
_IDENTITY = "d.device, d.inode, d.size, d.mtime_ns, d.ctime_ns"
_SELECT = (
    "SELECT d.id, d.path, c.name, d.state, d.reason_code, d.reason, d.hint, r.title, r.pages, r.pages_done, s.chunks,"
    " (SELECT count(*) FROM pages p WHERE p.revision = s.id AND p.source = 'skipped'),"
    f" d.sequence, d.attempts, d.next_attempt, {_IDENTITY} FROM documents d JOIN collections c ON c.id = d.collection"
    " LEFT JOIN revisions r ON r.id = coalesce(d.building, d.serving)"
    " LEFT JOIN revisions s ON s.id = coalesce(d.serving, d.building)"
)


def select(connection: apsw.Connection, condition: str, values: Bindings = ()) -> list[DocumentRow]:
    """The documents `d` that meet this SQL condition, which may end in `ORDER BY` and `LIMIT`."""
    return [_document(one) for one in rows(connection, f"{_SELECT} WHERE {STANDING} AND {condition}", values)]


def get(connection: apsw.Connection, number: int) -> DocumentRow:
    """The document with this number.

    Raises:
        UnknownDocument: there is none.
    """
    found = select(connection, "d.id = ?", (number,))
    if not found:
        raise unknown_document(document_id(number))
    return found[0]


def by_path(connection: apsw.Connection, path: bytes) -> DocumentRow | None:
    """The document at this path."""
    found = select(connection, "d.path = ?", (path,))
    return found[0] if found else None


def by_inode(connection: apsw.Connection, device: int, inode: int) -> list[DocumentRow]:
    """The documents whose file last had this inode; several if the file has several names."""
    return select(connection, "d.inode = ?2 AND d.device = ?1", (_any(device), _any(inode)))


def paths_under(connection: apsw.Connection, path: bytes) -> list[bytes]:
    """The paths of the document at `path` and of all documents below it."""
    found = rows(
        connection,
        "SELECT path FROM documents WHERE path = ? OR (path >= ? AND path < ?) ORDER BY path",
        (path, path + b"/", path + b"0"),  # "0" is the byte after "/"
    )
    return [one for (one,) in found]


def by_display(connection: apsw.Connection, shown: str) -> DocumentRow | None:
    """The document whose path is displayed like this."""
    # the second: the name as typed, for one with a backslash that the first takes for an escape
    return by_path(connection, from_display(shown)) or by_path(connection, shown.encode("utf-8", "replace"))


def page(
    connection: apsw.Connection,
    limit: int,
    cursor: str | None,
    collections: Collection[int] | None,
    state: State | None,
) -> tuple[list[DocumentRow], str | None]:
    """Up to `limit` documents by path after `cursor`, and the cursor for the next page, None at the end.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    found = select(
        connection,
        f"d.path > ?{_within(collections)} AND (?2 IS NULL OR d.state = ?2) ORDER BY d.path LIMIT ?",
        (b"" if cursor is None else _path_of(cursor), state, limit + 1),
    )
    documents = found[:limit]
    return documents, _cursor_of(documents[-1].path) if len(found) > limit else None


def counts(connection: apsw.Connection, collections: Collection[int] | None) -> dict[State, int]:
    """Number of documents by state."""
    within = _within(collections)
    found = rows(connection, f"SELECT d.state, count(*) FROM documents d WHERE 1{within} GROUP BY d.state")
    removed = value(connection, f"SELECT count(*) FROM documents d WHERE {REMOVED}{within}")
    counted: dict[State, int] = dict.fromkeys(STATES, 0) | dict(found)  # counted by an index without paths
    counted[_REMOVED_STATE] -= removed
    return counted


def chunk_count(connection: apsw.Connection, collections: Collection[int] | None) -> int:
    """Number of findable chunks."""
    total = value(
        connection,
        "SELECT coalesce(sum(r.chunks), 0) FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
        f" WHERE 1{_within(collections)}",
    )
    assert isinstance(total, int)
    return total


def skipped(connection: apsw.Connection, collections: Collection[int] | None) -> Skipped:
    """Counts the unreadable pages of the revisions that answer."""
    found = row(
        connection,
        "SELECT count(*), coalesce(sum(k.n), 0) FROM"
        " (SELECT revision, count(*) n FROM pages WHERE source = 'skipped' GROUP BY revision) k"
        " JOIN revisions r ON r.id = k.revision"
        f" JOIN documents d ON d.id = r.document AND coalesce(d.serving, d.building) = r.id{_within(collections)}",
    )
    assert found is not None
    return Skipped(*found)


def work_left(connection: apsw.Connection, collections: Collection[int] | None) -> WorkLeft:
    """Counts the work in the queue. Pages of a replaced document's old revision are no estimate and do not count."""
    found = row(
        connection,
        "SELECT count(*), coalesce(sum(max(n - done, 0)), 0), coalesce(sum(n IS NULL), 0),"
        " coalesce(sum(CASE WHEN n IS NULL THEN size END), 0) FROM"
        " (SELECT nullif(r.pages, 0) n, r.pages_done done, CAST(d.size AS INTEGER) size"
        " FROM documents d LEFT JOIN revisions r ON r.id = d.building"
        f" WHERE d.state IN ('pending', 'indexing'){_within(collections)})",
    )
    assert found is not None
    return WorkLeft(*found)


def known_files(connection: apsw.Connection) -> dict[bytes, KnownFile]:
    """Every document by its path, for the watcher."""
    found = rows(
        connection, f"SELECT d.path, d.id, d.state, d.reason_code, {_IDENTITY} FROM documents d WHERE {STANDING}"
    )
    return {
        path: KnownFile(document_id(number), _identity(identity), state, code if state == "failed" else "")
        for path, number, state, code, *identity in found
    }


def insert(connection: apsw.Connection, path: bytes, identity: FileIdentity, sequence: int) -> int:
    """Insert a document, pending at this place of the queue; returns its number."""
    run(
        connection,
        "INSERT INTO documents (path, collection, state, sequence, device, inode, size, mtime_ns, ctime_ns)"
        " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
        (path, collection_number(connection, path), sequence, *_columns(identity)),
    )
    return connection.last_insert_rowid()


def failed_with(connection: apsw.Connection, number: int, failed_key: str) -> bool:
    """Whether exactly this content is known to be unreadable."""
    return bool(
        value(connection, "SELECT count(*) FROM documents WHERE id = ? AND failed_key = ?", (number, failed_key))
    )


def set_state(connection: apsw.Connection, number: int, state: State) -> None:
    """Set any state but `failed`, which `set_failure` sets."""
    run(connection, "UPDATE documents SET state = ? WHERE id = ?", (state, number))


def set_failure(connection: apsw.Connection, number: int, code: str, reason: str, hint: str, failed_key: str) -> None:
    """Set the state `failed`, its reason, and the content it holds for (`failed_key`; "" if a retry may succeed)."""
    run(
        connection,
        "UPDATE documents SET state = 'failed', reason_code = ?, reason = ?, hint = ?, failed_key = ?,"
        " attempts = max(attempts, 1), next_attempt = NULL WHERE id = ?",
        (storable_message(code), storable_message(reason), storable_message(hint), failed_key, number),
    )


def clear_failure(connection: apsw.Connection, number: int) -> None:
    """Clear the reason, the attempts and the schedule of earlier failures."""
    run(
        connection,
        "UPDATE documents SET reason_code = '', reason = '', hint = '', failed_key = '', attempts = 0,"
        " next_attempt = NULL WHERE id = ?",
        (number,),
    )


def set_identity(connection: apsw.Connection, number: int, identity: FileIdentity) -> None:
    """Record the file's current identity."""
    run(
        connection,
        "UPDATE documents SET device = ?, inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE id = ?",
        (*_columns(identity), number),
    )


def set_path(connection: apsw.Connection, number: int, path: bytes) -> None:
    """Set the path, and the collection to match."""
    mark_dirty(connection)
    run(
        connection,
        "UPDATE documents SET path = ?, collection = ? WHERE id = ?",
        (path, collection_number(connection, path), number),
    )
    drop_empty_collections(connection)


def removed(connection: apsw.Connection) -> list[int]:
    """The numbers of removed documents with rows left."""
    return [number for (number,) in rows(connection, f"SELECT d.id FROM documents d WHERE {REMOVED}")]


def insert_removed(connection: apsw.Connection, like: int, sequence: int) -> int:
    """Insert the row of a removed document, in the collection of the document `like`; returns its number."""
    run(
        connection,
        "INSERT INTO documents (path, collection, state, sequence, device, inode, size, mtime_ns, ctime_ns)"
        " SELECT X'00', collection, ?, ?, 0, 0, 0, 0, 0 FROM documents WHERE id = ?",
        (_REMOVED_STATE, sequence, like),
    )
    number = connection.last_insert_rowid()
    set_removed(connection, number)
    return number


def set_removed(connection: apsw.Connection, number: int) -> None:
    """Turn the row into that of a removed document: its path becomes free, and it leaves every list and the queue."""
    clear_failure(connection, number)
    run(
        connection,
        "UPDATE documents SET path = CAST(char(0) || id AS BLOB), state = ?, serving = NULL, building = NULL,"
        " device = 0, inode = 0 WHERE id = ?",
        (_REMOVED_STATE, number),
    )


def delete(connection: apsw.Connection, number: int) -> None:
    """Delete the row. Its revisions must have been deleted before."""
    mark_dirty(connection)
    run(connection, "DELETE FROM documents WHERE id = ?", (number,))
    drop_empty_collections(connection)


def collection_number(connection: apsw.Connection, path: bytes) -> int:
    """The number of the path's collection, which is inserted if needed."""
    name = collection_of(path)
    run(connection, "INSERT INTO collections (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    number = value(connection, "SELECT id FROM collections WHERE name = ?", (name,))
    assert isinstance(number, int)
    return number


def collection_numbers(connection: apsw.Connection, names: Collection[bytes] | None) -> list[int] | None:
    """The numbers of the named collections that exist; None, for all collections, stays None."""
    if names is None:
        return None
    return [number for number, name in rows(connection, "SELECT id, name FROM collections") if name in names]


def collections(connection: apsw.Connection) -> set[bytes]:
    """The names of all collections with a document."""
    found = rows(
        connection,
        f"SELECT DISTINCT c.name FROM collections c JOIN documents d ON d.collection = c.id WHERE {STANDING}",
    )
    return {name for (name,) in found}


def drop_empty_collections(connection: apsw.Connection) -> None:
    """Delete collections without documents."""
    run(connection, "DELETE FROM collections WHERE id NOT IN (SELECT collection FROM documents)")


def _within(collections: Collection[int] | None) -> str:
    return "" if collections is None else f" AND d.collection IN {in_list(collections)}"


def _document(found: Row) -> DocumentRow:
    number, path, collection, state, code, reason, hint, title, pages, pages_done, chunks, skipped, *rest = found
    sequence, attempts, next_attempt, *identity = rest
    has_reason = state == "failed" or (state == "pending" and attempts > 0)
    return DocumentRow(
        id=document_id(number),
        number=number,
        path=path,
        collection=collection,
        state=state,
        reason_code=code if has_reason else "",
        reason=reason if has_reason else "",
        hint=hint if has_reason else "",
        identity=_identity(identity),
        title=title or "",
        pages=pages or 0,
        pages_done=pages_done or 0,
        pages_recognised=pages_done or 0,
        chunks=chunks or 0,
        skipped=skipped,
        ticket=sequence,
        attempts=attempts,
        next_attempt=next_attempt,
    )


def _columns(identity: FileIdentity) -> list[int | str]:
    numbers = (identity.device, identity.inode, identity.size, identity.mtime_ns, identity.ctime_ns)
    return [_any(number) for number in numbers]


def _any(number: int) -> int | str:
    # inode and device numbers are unsigned and a file's times may be absurd: values beyond 64 bits become text
    return number if -(2**63) <= number < 2**63 else str(number)


def _identity(columns: list[Any]) -> FileIdentity:
    device, inode, size, mtime_ns, ctime_ns = (int(column) for column in columns)
    return FileIdentity(device, inode, size, mtime_ns, ctime_ns)


def _cursor_of(path: bytes) -> str:
    return base64.urlsafe_b64encode(path).decode("ascii")


def _path_of(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidRequest(
            "listing documents", f"no such cursor: {cursor[:80]!r}", "start without a cursor"
        ) from None
