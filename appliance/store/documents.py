"""Documents: the rows for the files of the library, and their queue.

A document keeps its number through rename and replacement. `serving` is the revision that answers, `building` the one
being read; with no serving revision, the building one answers as it grows (`searchable`).
"""

# ruff: noqa: S608 - what is put into SQL here is our own table names and numbers; values are bound

import base64
import binascii
from collections.abc import Collection
from typing import Any

import apsw

from appliance.errors import InvalidRequest
from appliance.store.connection import Row, row, rows, run, value
from appliance.store.database import soil
from appliance.store.ids import document_id, unknown_document
from appliance.store.names import collection_of, from_display
from appliance.store.rows import STATES, DocumentRow, KnownFile, Order, State, Trouble, WorkLeft
from appliance.store.texts import told
from appliance.store.vectors import in_list
from ingest.types import FileIdentity

_IDENTITY = "d.device, d.inode, d.size, d.mtime_ns, d.ctime_ns"
_SELECT = (
    "SELECT d.id, d.path, c.name, d.state, d.reason_code, d.reason, d.hint, r.title, r.pages, r.pages_done, s.chunks,"
    f" d.sequence, d.attempts, d.next_attempt, {_IDENTITY} FROM documents d JOIN collections c ON c.id = d.collection"
    " LEFT JOIN revisions r ON r.id = coalesce(d.building, d.serving)"
    " LEFT JOIN revisions s ON s.id = coalesce(d.serving, d.building)"
)


def get(connection: apsw.Connection, number: int) -> DocumentRow:
    """The document of this number.

    Raises:
        UnknownDocument: there is none.
    """
    found = row(connection, f"{_SELECT} WHERE d.id = ?", (number,))
    if found is None:
        raise unknown_document(document_id(number))
    return _document(found)


def by_path(connection: apsw.Connection, path: bytes) -> DocumentRow | None:
    """The document at this path."""
    found = row(connection, f"{_SELECT} WHERE d.path = ?", (path,))
    return None if found is None else _document(found)


def by_inode(connection: apsw.Connection, device: int, inode: int) -> list[DocumentRow]:
    """The documents whose file was last seen as this inode: more than one where it has several names."""
    columns = (_any(device), _any(inode))
    return [_document(one) for one in rows(connection, f"{_SELECT} WHERE d.inode = ?2 AND d.device = ?1", columns)]


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
    found = rows(
        connection,
        f"{_SELECT} WHERE d.path > ?{_within(collections)} AND (?2 IS NULL OR d.state = ?2) ORDER BY d.path LIMIT ?",
        (b"" if cursor is None else _path_of(cursor), state, limit + 1),
    )
    documents = [_document(one) for one in found[:limit]]
    return documents, _cursor_of(documents[-1].path) if len(found) > limit else None


def counts(connection: apsw.Connection, collections: Collection[int] | None) -> dict[State, int]:
    """How many documents are in each state."""
    found = rows(
        connection, f"SELECT d.state, count(*) FROM documents d WHERE 1{_within(collections)} GROUP BY d.state"
    )
    return dict.fromkeys(STATES, 0) | dict(found)


def chunk_count(connection: apsw.Connection, collections: Collection[int] | None) -> int:
    """How many chunks can be found."""
    total = value(
        connection,
        "SELECT coalesce(sum(r.chunks), 0) FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
        f" WHERE 1{_within(collections)}",
    )
    assert isinstance(total, int)
    return total


def work_left(connection: apsw.Connection, collections: Collection[int] | None) -> WorkLeft:
    """What is in the queue; a replaced document's old pages say nothing of its new ones."""
    found = row(
        connection,
        "SELECT coalesce(sum(q), 0), coalesce(sum(CASE WHEN q AND n THEN max(n - done, 0) END), 0),"
        " coalesce(sum(q AND n IS NULL), 0), coalesce(sum(CASE WHEN q AND n IS NULL THEN size END), 0),"
        " coalesce(sum(n), 0), coalesce(sum(CASE WHEN n THEN size END), 0) FROM (SELECT"
        " d.state IN ('pending', 'indexing') q, nullif(r.pages, 0) n, r.pages_done done, CAST(d.size AS INTEGER) size"
        " FROM documents d LEFT JOIN revisions r"
        f" ON r.id = CASE d.state WHEN 'indexed' THEN d.serving ELSE d.building END WHERE 1{_within(collections)})",
    )
    assert found is not None
    return WorkLeft(*found)


def known_files(connection: apsw.Connection) -> dict[bytes, KnownFile]:
    """Every document by its path, for the watcher."""
    found = rows(connection, f"SELECT d.path, d.id, d.state, d.reason_code, {_IDENTITY} FROM documents d")
    return {
        path: KnownFile(document_id(number), _identity(identity), state, code if state == "failed" else "")
        for path, number, state, code, *identity in found
    }


def enqueue(connection: apsw.Connection, path: bytes, identity: FileIdentity) -> int:
    """Note a new or changed file; what it said before goes on answering, and its attempts are counted anew."""
    number = value(connection, "SELECT id FROM documents WHERE path = ?", (path,))
    if number is None:
        run(
            connection,
            "INSERT INTO documents (path, collection, state, sequence, device, inode, size, mtime_ns, ctime_ns)"
            " VALUES (?, ?, 'pending', ?, ?, ?, ?, ?, ?)",
            (path, collection_number(connection, path), _next_sequence(connection), *_columns(identity)),
        )
        return connection.last_insert_rowid()
    set_identity(connection, number, identity)
    requeue(connection, number)
    assert isinstance(number, int)
    return number


def requeue(connection: apsw.Connection, number: int) -> None:
    """Put the document at the end of the queue, as if it had never been tried."""
    run(
        connection,
        "UPDATE documents SET state = 'pending', sequence = ?, attempts = 0, next_attempt = NULL WHERE id = ?",
        (_next_sequence(connection), number),
    )


def next_pending(
    connection: apsw.Connection, exclude: Collection[int], order: Order = "age", below: int | None = None
) -> DocumentRow | None:
    """The document to read next.

    By age: one that was interrupted, else the one that has waited longest. By size: the smallest of both, of less than
    `below` bytes if that is given.
    """
    ready: tuple[tuple[str, State], ...] = (
        ("documents_by_state", "indexing"),
        (f"documents_ready_by_{order}", "pending"),
    )
    found = [
        one for index, state in ready if (one := _first(connection, index, state, exclude, order, below)) is not None
    ]
    if order == "size":
        found.sort(key=lambda one: (one.identity.size, one.ticket))
    return found[0] if found else None


def _first(
    connection: apsw.Connection, index: str, state: State, exclude: Collection[int], order: Order, below: int | None
) -> DocumentRow | None:
    """The index is named, as SQLite would rather sort the whole queue than walk a partial one."""
    by = "sequence" if order == "age" else "size, sequence"
    limit = "" if below is None else f" AND size < {int(below)}"
    ready = f"state = '{state}'" if state == "indexing" else f"state = '{state}' AND next_attempt IS NULL"
    found = row(
        connection,
        f"{_SELECT} WHERE d.id = (SELECT id FROM documents INDEXED BY {index} WHERE {ready}"
        f" AND id NOT IN {in_list(exclude)}{limit} ORDER BY {by} LIMIT 1)",
    )
    return None if found is None else _document(found)


def begin_attempt(connection: apsw.Connection, number: int) -> None:
    """The document is being read: `indexing`, and one attempt more."""
    run(connection, "UPDATE documents SET state = 'indexing', attempts = attempts + 1 WHERE id = ?", (number,))


def progressed(connection: apsw.Connection, number: int) -> None:
    """The attempt at hand has committed something: it does not count."""
    run(connection, "UPDATE documents SET attempts = 0 WHERE id = ? AND attempts > 0", (number,))


def postpone(
    connection: apsw.Connection, number: int, state: State, trouble: Trouble, attempts: int, next_attempt: float | None
) -> None:
    """Leave the document until `next_attempt`, or, at None, until somebody asks for it; remember why."""
    run(
        connection,
        "UPDATE documents SET state = ?, reason_code = ?, reason = ?, hint = ?, failed_key = '', attempts = ?,"
        " next_attempt = ? WHERE id = ?",
        (state, told(trouble.code), told(trouble.reason), told(trouble.hint), attempts, next_attempt, number),
    )


def release(connection: apsw.Connection, until: float, but: float, except_code: str = "") -> list[int]:
    """Put at the end of the queue what waits for a time up to `until` or, absurdly, beyond `but`; gives their numbers."""
    found = rows(
        connection,
        "SELECT id FROM documents WHERE next_attempt IS NOT NULL AND (next_attempt <= ? OR next_attempt > ?)"
        " AND reason_code <> ? ORDER BY next_attempt, sequence",
        (until, but, except_code),
    )
    for (number,) in found:
        run(
            connection,
            "UPDATE documents SET state = 'pending', next_attempt = NULL, sequence = ? WHERE id = ?",
            (_next_sequence(connection), number),
        )
    return [number for (number,) in found]


def next_due(connection: apsw.Connection) -> float | None:
    """When the next document is to be tried again; None if none waits for a time."""
    found = value(connection, "SELECT min(next_attempt) FROM documents WHERE next_attempt IS NOT NULL")
    return None if found is None else float(found)


def interrupted(connection: apsw.Connection, attempts: int) -> list[int]:
    """The documents that have been begun this many times or more and never got on."""
    found = rows(connection, "SELECT id FROM documents WHERE state = 'indexing' AND attempts >= ?", (attempts,))
    return [number for (number,) in found]


def is_current(connection: apsw.Connection, number: int, ticket: int | None) -> bool:
    """Whether the file was not queued again since the ticket was given; without a ticket, whether it is there.

    Raises:
        UnknownDocument: there is no such document any more.
    """
    sequence = value(connection, "SELECT sequence FROM documents WHERE id = ?", (number,))
    if sequence is None:
        raise unknown_document(document_id(number))
    return ticket is None or bool(sequence == ticket)


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
    return {name for (name,) in rows(connection, "SELECT name FROM collections")}


def drop_empty_collections(connection: apsw.Connection) -> None:
    """Forget collections without documents."""
    run(connection, "DELETE FROM collections WHERE id NOT IN (SELECT collection FROM documents)")


def _next_sequence(connection: apsw.Connection) -> int:
    return int(value(connection, "SELECT coalesce(max(sequence), 0) + 1 FROM documents"))


def _within(collections: Collection[int] | None) -> str:
    return "" if collections is None else f" AND d.collection IN {in_list(collections)}"


def _document(found: Row) -> DocumentRow:
    number, path, collection, state, code, reason, hint, title, pages, pages_done, chunks, *rest = found
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
        chunks=chunks or 0,
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
