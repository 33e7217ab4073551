"""Orders the queue: which document is read next, which are scheduled for later, and how often each was attempted.

The queue is columns of the documents' rows. A document's place, `sequence`, is also its *ticket*: queueing the document
again changes it, which tells a reader of the old content that its result is outdated (`is_current`).
"""

# ruff: noqa: S608 - what is put into SQL here is our own index names and numbers; values are bound

from collections.abc import Collection

import apsw

from appliance.store.database.connection import rows, run, value
from appliance.store.database.storable_text import storable_message
from appliance.store.ids import document_id, unknown_document
from appliance.store.indexes.vectors import in_list
from appliance.store.rows import DocumentRow, Order, State, Trouble
from appliance.store.tables import documents
from ingest.types import FileIdentity, RevisionKey


def enqueue(connection: apsw.Connection, path: bytes, identity: FileIdentity) -> int:
    """Queue a new or changed file. Old content continues to answer; attempts are counted from zero."""
    number = value(connection, "SELECT id FROM documents WHERE path = ?", (path,))
    if number is None:
        return documents.insert(connection, path, identity, next_sequence(connection))
    documents.set_identity(connection, number, identity)
    requeue(connection, number)
    assert isinstance(number, int)
    return number


def requeue(connection: apsw.Connection, number: int) -> None:
    """Put the document at the end of the queue, as if it had never been attempted."""
    run(
        connection,
        "UPDATE documents SET state = 'pending', sequence = ?, attempts = 0, next_attempt = NULL WHERE id = ?",
        (next_sequence(connection), number),
    )


def requeue_outdated(connection: apsw.Connection, current: RevisionKey, most: int) -> list[int]:
    """Queue up to `most` documents that other versions of the code have read; returns their numbers."""
    found = rows(
        connection,
        "SELECT d.id FROM documents d JOIN revisions r ON r.id = d.serving WHERE d.state = 'indexed'"
        " AND (r.extractor, r.chunker, r.template) <> (?, ?, ?) ORDER BY d.sequence LIMIT ?",
        (current.extractor, current.chunker, current.template, most),
    )
    for (number,) in found:
        requeue(connection, number)
    return [number for (number,) in found]


def next_pending(
    connection: apsw.Connection, exclude: Collection[int], order: Order = "age", below: int | None = None
) -> DocumentRow | None:
    """The document to read next.

    By age: an interrupted one, else the one that has waited longest. By size: the smallest of either kind. Only files
    of less than `below` bytes, if given.
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


def begin_attempt(connection: apsw.Connection, number: int) -> None:
    """Set the state `indexing` and count one more attempt."""
    run(connection, "UPDATE documents SET state = 'indexing', attempts = attempts + 1 WHERE id = ?", (number,))


def take_back_attempt(connection: apsw.Connection, number: int, ticket: int) -> None:
    """Undo the count of the current attempt, which ended for no reason of the document's."""
    run(
        connection,
        "UPDATE documents SET attempts = attempts - 1 WHERE id = ? AND sequence = ? AND attempts > 0",
        (number, ticket),
    )


def progressed(connection: apsw.Connection, number: int) -> None:
    """Reset the attempts: the current one has committed something."""
    run(connection, "UPDATE documents SET attempts = 0 WHERE id = ? AND attempts > 0", (number,))


def postpone(
    connection: apsw.Connection, number: int, state: State, trouble: Trouble, attempts: int, next_attempt: float | None
) -> None:
    """Postpone the document until `next_attempt`, or, if None, until it is requeued; record why."""
    run(
        connection,
        "UPDATE documents SET state = ?, reason_code = ?, reason = ?, hint = ?, failed_key = '', attempts = ?,"
        " next_attempt = ? WHERE id = ?",
        (
            state,
            storable_message(trouble.code),
            storable_message(trouble.reason),
            storable_message(trouble.hint),
            attempts,
            next_attempt,
            number,
        ),
    )


def release(connection: apsw.Connection, until: float, but: float, except_code: str = "") -> list[int]:
    """Queue the documents scheduled up to `until` or, absurdly, after `but`; returns their numbers."""
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
            (next_sequence(connection), number),
        )
    return [number for (number,) in found]


def next_due(connection: apsw.Connection) -> float | None:
    """Time of the next scheduled attempt; None if there is none."""
    found = value(connection, "SELECT min(next_attempt) FROM documents WHERE next_attempt IS NOT NULL")
    return None if found is None else float(found)


def interrupted(connection: apsw.Connection, attempts: int) -> list[int]:
    """The numbers of documents with at least this many attempts that made no progress."""
    found = rows(connection, "SELECT id FROM documents WHERE state = 'indexing' AND attempts >= ?", (attempts,))
    return [number for (number,) in found]


def is_current(connection: apsw.Connection, number: int, ticket: int | None) -> bool:
    """Whether the file was not queued again since this ticket; without a ticket, True if the document exists.

    Raises:
        UnknownDocument: the document no longer exists.
    """
    sequence = value(connection, f"SELECT sequence FROM documents d WHERE id = ? AND {documents.STANDING}", (number,))
    if sequence is None:
        raise unknown_document(document_id(number))
    return ticket is None or bool(sequence == ticket)


def _first(
    connection: apsw.Connection, index: str, state: State, exclude: Collection[int], order: Order, below: int | None
) -> DocumentRow | None:
    """Names the index, since SQLite would otherwise sort the whole queue instead of walking a partial index."""
    by = "sequence" if order == "age" else "size, sequence"
    limit = "" if below is None else f" AND size < {int(below)}"
    ready = f"state = '{state}'" if state == "indexing" else f"state = '{state}' AND next_attempt IS NULL"
    found = documents.select(
        connection,
        f"d.id = (SELECT id FROM documents INDEXED BY {index} WHERE {ready}"
        f" AND id NOT IN {in_list(exclude)}{limit} ORDER BY {by} LIMIT 1)",
    )
    return found[0] if found else None


def next_sequence(connection: apsw.Connection) -> int:
    """The place at the end of the queue."""
    return int(value(connection, "SELECT coalesce(max(sequence), 0) + 1 FROM documents"))
