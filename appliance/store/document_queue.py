"""Takes a document from the discovery of its file until it answers or has failed.

Rule: `next_pending` returns a document with a ticket, which its reader passes back with the result. If the file was
queued again meanwhile, the result is outdated and the document stays in the queue (`tables.queue.is_current`).
"""

import math
from collections.abc import Collection, Sequence
from typing import Literal

import apsw

from appliance.store.database.database import Database
from appliance.store.ids import document_id, document_number
from appliance.store.indexes import document_names
from appliance.store.revision_sink import RevisionSink, WriteNamed, prepare_switch
from appliance.store.rows import DocumentRow, Order, Trouble, Withdrawn
from appliance.store.tables import documents, embedders, queue, revisions
from ingest.errors import Stopped
from ingest.types import FileIdentity, RevisionKey


class DocumentQueue:
    """The store's queue (`Store.queue`). Each method is one transaction or one snapshot."""

    def __init__(self, database: Database, write_named: WriteNamed) -> None:
        self._database = database
        self._write_named = write_named

    def add_file(self, path: bytes, identity: FileIdentity) -> str:
        """Queue a new or changed file and return its document's id. Old content continues to answer."""
        return self.add_files([(path, identity)])[0]

    def add_files(self, files: Sequence[tuple[bytes, FileIdentity]]) -> list[str]:
        """Queue many files in one transaction; returns the ids in the order of the files."""

        def job(connection: apsw.Connection) -> list[str]:
            return [document_id(queue.enqueue(connection, path, identity)) for path, identity in files]

        return self._database.write(job)

    def requeue(self, document: str) -> None:
        """Queue a document again, whatever its state. One that answers is read again only if pages of it were skipped.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> None:
            documents.get(connection, number)
            documents.clear_failure(connection, number)
            revisions.forget_skipped(connection, number)
            queue.requeue(connection, number)

        self._database.write(job)

    def requeue_outdated(self, most: int) -> list[str]:
        """Queue up to `most` documents that other versions of the code have read; returns their ids.

        They continue to answer meanwhile.
        """
        job = lambda connection: queue.requeue_outdated(connection, RevisionKey(""), most)  # noqa: E731
        return [document_id(number) for number in self._database.write(job)]

    def next_pending(
        self, exclude: Collection[str] = (), order: Order = "age", below: int | None = None
    ) -> DocumentRow | None:
        """The document to read next, except those in `exclude` (being read already).

        By age: an interrupted one, else the one that has waited longest. By size: the smallest of either kind. Only
        files of less than `below` bytes, if given.
        """
        numbers = [document_number(one) for one in exclude]
        with self._database.read() as connection:
            return queue.next_pending(connection, numbers, order, below)

    def next_due(self) -> float | None:
        """Time of the next scheduled attempt, in Unix seconds; None if there is none."""
        with self._database.read() as connection:
            return queue.next_due(connection)

    def release(self, until: float, *, but: float = math.inf, except_code: str = "") -> list[str]:
        """Queue documents scheduled for a time up to `until`, or after `but` (a clock was set back); returns the ids.

        Documents that wait for the reason `except_code` continue to wait.
        """
        job = lambda connection: queue.release(connection, until, but, except_code)  # noqa: E731
        return [document_id(number) for number in self._database.write(job)]

    def interrupted(self, attempts: int) -> list[DocumentRow]:
        """The documents with at least this many attempts that made no progress and reported no failure."""
        with self._database.read() as connection:
            return [documents.get(connection, number) for number in queue.interrupted(connection, attempts)]

    def settle(
        self, document: str, key: RevisionKey, identity: FileIdentity | None = None, *, ticket: int | None = None
    ) -> bool:
        """Whether this content needs no work: it answers already, or is known to be unreadable.

        If so, the document becomes `indexed` or `failed` as before, with the file's new identity, and any building
        revision is dropped. With an outdated ticket the document stays in the queue.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> bool:
            current = queue.is_current(connection, number, ticket)
            index = embedders.writing(connection)
            served = revisions.serves(connection, index, number, key)
            if not served and not documents.failed_with(connection, number, revisions.failed_key(key)):
                return False
            revisions.drop_building(connection, index, number)
            if current:
                documents.set_state(connection, number, "indexed" if served else "failed")
                if served:
                    documents.clear_failure(connection, number)
                if identity is not None:
                    documents.set_identity(connection, number, identity)
            return True

        with self._database.read() as connection:  # saves a transaction for the many that do need work
            queue.is_current(connection, number, ticket)
            known = revisions.serves(connection, embedders.writing(connection), number, key)
            if not known and not documents.failed_with(connection, number, revisions.failed_key(key)):
                return False
        return self._database.write(job)

    def open_revision(
        self,
        document: str,
        key: RevisionKey,
        identity: FileIdentity | None = None,
        *,
        ticket: int | None = None,
        embedder: str | None = None,
    ) -> RevisionSink:
        """The sink for this content. Resumes what was committed of it; drops other content that was begun.

        The document becomes `indexing`, unless the ticket is outdated. `embedder` is the identity of the model that
        makes the vectors.

        Raises:
            UnknownDocument: there is none.
            Stopped: another model makes new vectors by now.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> tuple[int, int]:
            index = embedders.writing(connection)
            if embedder not in (None, index.identity):
                raise Stopped(f"reading {document}", "the embedding model was changed meanwhile")
            if queue.is_current(connection, number, ticket):
                queue.begin_attempt(connection, number)
                if identity is not None:
                    documents.set_identity(connection, number, identity)
            return index.embedder, revisions.open_building(connection, index, number, key)

        model, revision = self._database.write(job)
        return RevisionSink(self._database, self._write_named, model, number, revision, ticket)

    def take_back_attempt(self, document: str, ticket: int) -> None:
        """Undo the count of an attempt that began with this ticket and ended for no reason of the document's."""
        number = document_number(document)
        self._database.write(lambda connection: queue.take_back_attempt(connection, number, ticket))

    def begin_anew(self, document: str) -> None:
        """Discard what was begun of a document; it answers as before until it has been read.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> None:
            documents.get(connection, number)
            revisions.begin_anew(connection, embedders.writing(connection), number)

        self._database.write(job)

    def fail(
        self,
        document: str,
        code: str,
        reason: str,
        hint: str = "",
        *,
        key: RevisionKey | None = None,
        identity: FileIdentity | None = None,
        ticket: int | None = None,
    ) -> None:
        """Mark a document as failed and withdraw everything that was read from it.

        With `key`, the same content is not tried again (`settle`). With an outdated ticket nothing happens.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> None:
            if not queue.is_current(connection, number, ticket):
                return
            revisions.drop_all(connection, embedders.writing(connection), number)
            documents.set_failure(connection, number, code, reason, hint, revisions.failed_key(key) if key else "")
            if identity is not None:
                documents.set_identity(connection, number, identity)

        self._database.write(job)

    def postpone(
        self,
        document: str,
        trouble: Trouble,
        *,
        attempts: int,
        next_attempt: float | None,
        state: Literal["pending", "failed"] = "failed",
        withdrawn: Withdrawn = "everything",
        ticket: int | None = None,
    ) -> None:
        """Postpone a document until `next_attempt` (Unix seconds); if None, until its file changes or it is requeued.

        With an outdated ticket nothing happens.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection, known_names: document_names.KnownNames) -> None:
            if not queue.is_current(connection, number, ticket):
                return
            index = embedders.writing(connection)
            if withdrawn == "everything":
                revisions.drop_all(connection, index, number)
            elif withdrawn == "outdated":
                revisions.drop_outdated(connection, index, number, known_names)
            queue.postpone(connection, number, state, trouble, attempts, next_attempt)

        if withdrawn == "outdated":
            with self._database.read() as connection:
                if not queue.is_current(connection, number, ticket):  # a newer one never becomes older again
                    return
            prepare_switch(self._database, number)
        self._write_named(job)
