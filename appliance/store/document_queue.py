"""The store's queue: what happens to a document from the report of its file until it answers or has failed.

Who takes a document up gets its ticket with it, and gives it back with whatever becomes of it: if the file was queued
again meanwhile, the document stays in the queue (`queue.is_current`).
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
        """Note a new or changed file as pending and give its document's id. An old content goes on answering."""
        return self.add_files([(path, identity)])[0]

    def add_files(self, files: Sequence[tuple[bytes, FileIdentity]]) -> list[str]:
        """`add_file` for many in one transaction; the ids in the order of the files."""

        def job(connection: apsw.Connection) -> list[str]:
            return [document_id(queue.enqueue(connection, path, identity)) for path, identity in files]

        return self._database.write(job)

    def requeue(self, document: str) -> None:
        """Try a document again, whatever became of it before; one that answers only if pages of it were skipped.

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
        """Queue up to `most` documents that answer with what other versions of the code made of them, for reading again;
        gives their ids. They answer meanwhile."""
        job = lambda connection: queue.requeue_outdated(connection, RevisionKey(""), most)  # noqa: E731
        return [document_id(number) for number in self._database.write(job)]

    def next_pending(
        self, exclude: Collection[str] = (), order: Order = "age", below: int | None = None
    ) -> DocumentRow | None:
        """The document to read next, none of `exclude` (those that somebody is at already).

        By age: one that was interrupted, else the one that has waited longest. By size: the smallest of both, of less
        than `below` bytes if that is given.
        """
        numbers = [document_number(one) for one in exclude]
        with self._database.read() as connection:
            return queue.next_pending(connection, numbers, order, below)

    def next_due(self) -> float | None:
        """When the next document is to be tried again, in Unix seconds; None if none waits for a time."""
        with self._database.read() as connection:
            return queue.next_due(connection)

    def release(self, until: float, *, but: float = math.inf, except_code: str = "") -> list[str]:
        """Queue what waits for a time up to `until`, or beyond `but` (a clock was set back); gives the ids.

        What waits for the reason `except_code` goes on waiting.
        """
        job = lambda connection: queue.release(connection, until, but, except_code)  # noqa: E731
        return [document_id(number) for number in self._database.write(job)]

    def interrupted(self, attempts: int) -> list[DocumentRow]:
        """The documents that were begun this many times or more, never got on and were never said to have failed."""
        with self._database.read() as connection:
            return [documents.get(connection, number) for number in queue.interrupted(connection, attempts)]

    def settle(
        self, document: str, key: RevisionKey, identity: FileIdentity | None = None, *, ticket: int | None = None
    ) -> bool:
        """Whether this content needs no work: it answers already, or is known to be unreadable.

        If so, the document is `indexed` or `failed` as before, with the file's new identity, and what else was being
        built is dropped. With the ticket of an outdated `DocumentRow` it stays in the queue.

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

        with self._database.read() as connection:  # a transaction less for the many that do need work
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
        """The sink for this content; what was committed of it before goes on, any other content begun is dropped.

        The document is then `indexing`, unless the ticket is outdated. `embedder` is the identity of the model that
        its vectors will be of.

        Raises:
            UnknownDocument: there is none.
            Stopped: new vectors are wanted of another model by now.
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
        """Let an attempt that began with this ticket not count: it was ended for no reason of the document's."""
        number = document_number(document)
        self._database.write(lambda connection: queue.take_back_attempt(connection, number, ticket))

    def begin_anew(self, document: str) -> None:
        """Go on with nothing that was begun of a document; it answers as before until it is read.

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
        """Note that a document cannot be read. Nothing of it can be found any more.

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
        """Leave a document until `next_attempt` (Unix seconds), or, at None, until its file changes or somebody asks.

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
            prepare_switch(self._database, number)
        self._write_named(job)
