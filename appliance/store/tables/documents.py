"""Documents: the rows for the files of the library; their queue is in `queue.py`.

A document keeps its number through rename and replacement. `serving` is the revision that answers, `building` the one
being read; with no serving revision, the building one answers as it grows (`searchable`).
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
from appliance.store.database.secure_cleaning import soil
from appliance.store.database.storable_text import told
from appliance.store.ids import document_id, unknown_document
from appliance.store.indexes.document_names import collection_of
from appliance.store.indexes.vectors import in_list
from appliance.store.rows import STATES, DocumentRow, KnownFile, Skipped, State, WorkLeft
from ingest.types import FileIdentity

STANDING = "+d.path >= X'01'"
"""Of those in the table; a document that has been removed, and of which something is left, has a path that begins with a
zero byte. Never a bound for SQLite to search by (hence the sign): nearly all stand."""
REMOVED = "d.path < X'01'"
REMOVED_REVISIONS = f"SELECT r.id FROM documents d CROSS JOIN revisions r ON r.document = d.id WHERE {REMOVED}"
"""In this order, so that SQLite looks at the removed documents alone."""

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
    """The documents, called `d`, for which this SQL holds; `ORDER BY` and `LIMIT` may stand behind it."""
    return [_document(one) for one in rows(connection, f"{_SELECT} WHERE {STANDING} AND {condition}", values)]


def get(connection: apsw.Connection, number: int) -> DocumentRow:
    """The document of this number.

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
    """The documents whose file was last seen as this inode: more than one where it has several names."""
    return select(connection, "d.inode = ?2 AND d.device = ?1", (_any(device), _any(inode)))


def paths_under(connection: apsw.Connection, path: bytes) -> list[bytes]:
    """`path` itself, if it is a document, and the documents below it, if it is a folder."""
    found = rows(
        connection,
        "SELECT path FROM documents WHERE path = ? OR (path >= ? AND path < ?) ORDER BY path",
        (path, path + b"/", path + b"0"),  # "0" is the byte after "/"
    )
    return [one for (one,) in found]


def by_display(connection: apsw.Connection, shown: str) -> DocumentRow | None:
    """The document whose path is shown like this."""
    # the second: the name itself as it was typed, where a backslash in it was read as an escape
    return by_path(connection, from_display(shown)) or by_path(connection, shown.encode("utf-8", "replace"))


def page(
    connection: apsw.Connection,
    limit: int,
    cursor: str | None,
    collections: Collection[int] | None,
    state: State | None,
) -> tuple[list[DocumentRow], str | None]:
    """Up to `limit` documents by path, from behind `cursor` on, and the cursor behind the last of them, if any follow.

    Raises:
        InvalidRequest: the cursor is not one that came from here.
    """
    found = select(
        connection,
        f"d.path > ?{_within(collections)} AND (?2 IS NULL OR d.state = ?2) ORDER BY d.path LIMIT ?",
        (b"" if cursor is None else _path_of(cursor), state, limit + 1),
    )
    documents = found[:limit]
    return documents, _cursor_of(documents[-1].path) if len(found) > limit else None


def counts(connection: apsw.Connection, collections: Collection[int] | None) -> dict[State, int]:
    """How many documents are in each state."""
    within = _within(collections)
    found = rows(connection, f"SELECT d.state, count(*) FROM documents d WHERE 1{within} GROUP BY d.state")
    removed = value(connection, f"SELECT count(*) FROM documents d WHERE {REMOVED}{within}")
    counted: dict[State, int] = dict.fromkeys(STATES, 0) | dict(found)  # from an index that has no paths
    counted[_REMOVED_STATE] -= removed
    return counted


def chunk_count(connection: apsw.Connection, collections: Collection[int] | None) -> int:
    """How many chunks can be found."""
    total = value(
        connection,
        "SELECT coalesce(sum(r.chunks), 0) FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
        f" WHERE 1{_within(collections)}",
    )
    assert isinstance(total, int)
    return total


def skipped(connection: apsw.Connection, collections: Collection[int] | None) -> Skipped:
    """The pages that could not be read, of what can be found."""
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
    """What is in the queue; a replaced document's old pages say nothing of its new ones."""
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
    """A new document, pending at this place of the queue; its number."""
    run(
        connection,
        "INSERT INTO documents (path, collection, state, sequence, device, inode, size, mtime_ns, ctime_ns)"
        " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
        (path, collection_number(connection, path), sequence, *_columns(identity)),
    )
    return connection.last_insert_rowid()


def failed_with(connection: apsw.Connection, number: int, failed_key: str) -> bool:
    """Whether this very content is known to be unreadable."""
    return bool(
        value(connection, "SELECT count(*) FROM documents WHERE id = ? AND failed_key = ?", (number, failed_key))
    )


def set_state(connection: apsw.Connection, number: int, state: State) -> None:
    """Move to another state than `failed`."""
    run(connection, "UPDATE documents SET state = ? WHERE id = ?", (state, number))


def set_failure(connection: apsw.Connection, number: int, code: str, reason: str, hint: str, failed_key: str) -> None:
    """Move to `failed` and remember why, and for which content (`failed_key`; "" if another try may succeed)."""
    run(
        connection,
        "UPDATE documents SET state = 'failed', reason_code = ?, reason = ?, hint = ?, failed_key = ?,"
        " attempts = max(attempts, 1), next_attempt = NULL WHERE id = ?",
        (told(code), told(reason), told(hint), failed_key, number),
    )


def clear_failure(connection: apsw.Connection, number: int) -> None:
    """Forget why an earlier try failed."""
    run(
        connection,
        "UPDATE documents SET reason_code = '', reason = '', hint = '', failed_key = '', attempts = 0,"
        " next_attempt = NULL WHERE id = ?",
        (number,),
    )


def set_identity(connection: apsw.Connection, number: int, identity: FileIdentity) -> None:
    """Note the file's present identity."""
    run(
        connection,
        "UPDATE documents SET device = ?, inode = ?, size = ?, mtime_ns = ?, ctime_ns = ? WHERE id = ?",
        (*_columns(identity), number),
    )


def set_path(connection: apsw.Connection, number: int, path: bytes) -> None:
    """Move the document; its collection follows."""
    soil(connection)
    run(
        connection,
        "UPDATE documents SET path = ?, collection = ? WHERE id = ?",
        (path, collection_number(connection, path), number),
    )
    drop_empty_collections(connection)


def removed(connection: apsw.Connection) -> list[int]:
    """The numbers of documents that have been removed and of which something is left."""
    return [number for (number,) in rows(connection, f"SELECT d.id FROM documents d WHERE {REMOVED}")]


def insert_removed(connection: apsw.Connection, like: int, sequence: int) -> int:
    """Add the row of a removed document, in the collection of the document `like`, and return its number."""
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
    """Let nothing but what is left of the document be known: its path is free, and it waits for nothing."""
    clear_failure(connection, number)
    run(
        connection,
        "UPDATE documents SET path = CAST(char(0) || id AS BLOB), state = ?, serving = NULL, building = NULL,"
        " device = 0, inode = 0 WHERE id = ?",
        (_REMOVED_STATE, number),
    )


def delete(connection: apsw.Connection, number: int) -> None:
    """Delete the row; its revisions must be gone."""
    soil(connection)
    run(connection, "DELETE FROM documents WHERE id = ?", (number,))
    drop_empty_collections(connection)


def collection_number(connection: apsw.Connection, path: bytes) -> int:
    """The number of the path's collection, made if needed."""
    name = collection_of(path)
    run(connection, "INSERT INTO collections (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    number = value(connection, "SELECT id FROM collections WHERE name = ?", (name,))
    assert isinstance(number, int)
    return number


def collection_numbers(connection: apsw.Connection, names: Collection[bytes] | None) -> list[int] | None:
    """The numbers of those of the named collections that exist; None stays None: all."""
    if names is None:
        return None
    return [number for number, name in rows(connection, "SELECT id, name FROM collections") if name in names]


def collections(connection: apsw.Connection) -> set[bytes]:
    """The names of all collections that have a document."""
    found = rows(
        connection,
        f"SELECT DISTINCT c.name FROM collections c JOIN documents d ON d.collection = c.id WHERE {STANDING}",
    )
    return {name for (name,) in found}


def drop_empty_collections(connection: apsw.Connection) -> None:
    """Forget collections without documents."""
    run(connection, "DELETE FROM collections WHERE id NOT IN (SELECT collection FROM documents)")


def _within(collections: Collection[int] | None) -> str:
    return "" if collections is None else f" AND d.collection IN {in_list(collections)}"


def _document(found: Row) -> DocumentRow:
    number, path, collection, state, code, reason, hint, title, pages, pages_done, chunks, skipped, *rest = found
    sequence, attempts, next_attempt, *identity = rest
    told = state == "failed" or (state == "pending" and attempts > 0)
    return DocumentRow(
        id=document_id(number),
        number=number,
        path=path,
        collection=collection,
        state=state,
        reason_code=code if told else "",
        reason=reason if told else "",
        hint=hint if told else "",
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
    # inode and device numbers are unsigned, and a file's times may be absurd: what 64 bits can't hold goes as text
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
