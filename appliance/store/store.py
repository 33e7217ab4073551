"""The store: everything that is known of the library, in one SQLite file.

The facade over the parts of this package. Each public method is one transaction or one snapshot; reads may come from
any thread, writes go through the one writer thread. Paths and collections are bytes. Methods that read take
`collections=None` for all collections; a set restricts them to what the caller may see.
"""

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

import apsw

from appliance.store import documents, fulltext, integrity, names, passages, revisions, sources
from appliance.store.database import Database
from appliance.store.digest import digest
from appliance.store.ids import document_id, document_number
from appliance.store.migrations import migrate
from appliance.store.rows import (
    DocumentRow,
    EmbedderKey,
    KnownFile,
    Matrix,
    Order,
    PageRow,
    PassageRow,
    State,
    Trouble,
    Withdrawn,
)
from appliance.store.sink import RevisionSink
from appliance.store.vectors import VectorIndex, register
from ingest.types import ChunkWord, FileIdentity, RevisionKey, Vector

T = TypeVar("T")
Collections = Collection[bytes] | None
EQUAL_WEIGHTS = (1.0,) * len(fulltext.COLUMNS)


class Store:
    """An open store; a context manager."""

    def __init__(self, database: Database, index: VectorIndex, embed_name: Callable[[str], Vector]) -> None:
        self._database = database
        self._index = index
        self._embed_name = embed_name

    @classmethod
    def open(cls, path: Path, *, embedder: EmbedderKey, embed_name: Callable[[str], Vector]) -> Self:
        """Open the store at `path`, creating or migrating it. `embed_name` embeds a document's name as a passage.

        Raises:
            EmbedderMismatch: another embedding model made the index.
            StoreTooNew, StoreCorrupt, StoreFull, StoreError: it cannot be used as it is.
        """
        database = Database(path, lambda connection: migrate(connection, path))
        try:
            index = database.write(lambda connection: register(connection, embedder))
        except BaseException:
            database.close()
            raise
        return cls(database, index, embed_name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float = 5.0) -> None:
        """Finish waiting writes within `timeout` seconds and close; see `Database.close`."""
        self._database.close(timeout)

    # Documents

    def get(self, document: str) -> DocumentRow:
        """The document of this id.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)
        with self._database.read() as connection:
            return documents.get(connection, number)

    def by_path(self, path: bytes) -> DocumentRow | None:
        """The document at this path, relative to the library."""
        with self._database.read() as connection:
            return documents.by_path(connection, path)

    def by_inode(self, device: int, inode: int) -> list[DocumentRow]:
        """The documents whose file was last seen as this inode."""
        with self._database.read() as connection:
            return documents.by_inode(connection, device, inode)

    def paths_under(self, path: bytes) -> list[bytes]:
        """`path` itself, if it is a document, and the documents below it, if it is a folder."""
        with self._database.read() as connection:
            return documents.paths_under(connection, path)

    def by_display(self, document: str) -> DocumentRow | None:
        """The document whose path is shown as this text."""
        with self._database.read() as connection:
            return documents.by_display(connection, document)

    def list_documents(
        self, *, limit: int, cursor: str | None = None, collections: Collections = None, state: State | None = None
    ) -> tuple[list[DocumentRow], str | None]:
        """Up to `limit` documents in the order of their paths, and the cursor for the rest, None at the end.

        Raises:
            InvalidRequest: the cursor did not come from here.
        """
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return documents.page(connection, limit, cursor, within, state)

    def counts(self, collections: Collections = None) -> dict[State, int]:
        """How many documents are in each state."""
        with self._database.read() as connection:
            return documents.counts(connection, documents.collection_numbers(connection, collections))

    def chunk_count(self, collections: Collections = None) -> int:
        """How many chunks can be found."""
        with self._database.read() as connection:
            return documents.chunk_count(connection, documents.collection_numbers(connection, collections))

    def collections(self) -> set[bytes]:
        """The collections that have a document, whatever its state."""
        with self._database.read() as connection:
            return documents.collections(connection)

    def known_files(self) -> dict[bytes, KnownFile]:
        """Every file that is known, by path."""
        with self._database.read() as connection:
            return documents.known_files(connection)

    # What happens to files

    def queue_file(self, path: bytes, identity: FileIdentity) -> str:
        """Note a new or changed file as pending and give its document's id. An old content goes on answering."""
        return self.queue_files([(path, identity)])[0]

    def queue_files(self, files: Sequence[tuple[bytes, FileIdentity]]) -> list[str]:
        """`queue_file` for many in one transaction; the ids in the order of the files."""

        def job(connection: apsw.Connection) -> list[str]:
            return [document_id(documents.enqueue(connection, path, identity)) for path, identity in files]

        return self._database.write(job)

    def requeue(self, document: str) -> None:
        """Try a document again, whatever became of it before.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> None:
            documents.get(connection, number)
            documents.clear_failure(connection, number)
            documents.requeue(connection, number)

        self._database.write(job)

    def next_pending(
        self, exclude: Collection[str] = (), order: Order = "age", below: int | None = None
    ) -> DocumentRow | None:
        """The document to read next, none of `exclude` (those that somebody is at already).

        By age: one that was interrupted, else the one that has waited longest. By size: the smallest of both, of less
        than `below` bytes if that is given.
        """
        numbers = [document_number(one) for one in exclude]
        with self._database.read() as connection:
            return documents.next_pending(connection, numbers, order, below)

    def next_due(self) -> float | None:
        """When the next document is to be tried again, in Unix seconds; None if none waits for a time."""
        with self._database.read() as connection:
            return documents.next_due(connection)

    def release(self, until: float, *, but: float = math.inf, except_code: str = "") -> list[str]:
        """Queue what waits for a time up to `until`, or beyond `but` (a clock was set back); gives the ids.

        What waits for the reason `except_code` goes on waiting.
        """
        job = lambda connection: documents.release(connection, until, but, except_code)  # noqa: E731
        return [document_id(number) for number in self._database.write(job)]

    def interrupted(self, attempts: int) -> list[DocumentRow]:
        """The documents that were begun this many times or more, never got on and were never said to have failed."""
        with self._database.read() as connection:
            return [documents.get(connection, number) for number in documents.interrupted(connection, attempts)]

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
            current = documents.is_current(connection, number, ticket)
            served = revisions.serves(connection, number, key)
            if not served and not documents.failed_with(connection, number, revisions.failed_key(key)):
                return False
            revisions.drop_building(connection, self._index, number)
            if current:
                documents.set_state(connection, number, "indexed" if served else "failed")
                if served:
                    documents.clear_failure(connection, number)
                if identity is not None:
                    documents.set_identity(connection, number, identity)
            return True

        with self._database.read() as connection:  # a transaction less for the many that do need work
            documents.is_current(connection, number, ticket)
            known = revisions.serves(connection, number, key)
            if not known and not documents.failed_with(connection, number, revisions.failed_key(key)):
                return False
        return self._database.write(job)

    def open_revision(
        self, document: str, key: RevisionKey, identity: FileIdentity | None = None, *, ticket: int | None = None
    ) -> RevisionSink:
        """The sink for this content; what was committed of it before goes on, any other content begun is dropped.

        The document is then `indexing`, unless the ticket is outdated.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection) -> int:
            if documents.is_current(connection, number, ticket):
                documents.begin_attempt(connection, number)
                if identity is not None:
                    documents.set_identity(connection, number, identity)
            return revisions.open_building(connection, self._index, number, key)

        revision = self._database.write(job)
        return RevisionSink(self._database, self._index, self._write_named, revision, ticket)

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
            if not documents.is_current(connection, number, ticket):
                return
            revisions.drop_all(connection, self._index, number)
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

        def job(connection: apsw.Connection, known_names: dict[str, Vector]) -> None:
            if not documents.is_current(connection, number, ticket):
                return
            if withdrawn == "everything":
                revisions.drop_all(connection, self._index, number)
            elif withdrawn == "outdated":
                revisions.drop_outdated(connection, self._index, number, known_names)
            documents.postpone(connection, number, state, trouble, attempts, next_attempt)

        self._write_named(job)

    def rename(self, document: str, path: bytes, identity: FileIdentity | None = None) -> None:
        """Follow a file to its new path; nothing but its name is embedded. A document that was there is removed.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection, known_names: dict[str, Vector]) -> None:
            before = documents.get(connection, number).path
            there = documents.by_path(connection, path)
            if there is not None and there.number != number:
                self._remove(connection, there.number)
            documents.set_path(connection, number, path)
            revisions.renamed(connection, self._index, number, before, known_names)
            if identity is not None:
                documents.set_identity(connection, number, identity)

        self._write_named(job)

    def remove(self, document: str) -> None:
        """Delete a document with everything that was read of it.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)
        self._database.write(lambda connection: self._remove(connection, number))

    # Search

    def match(
        self,
        query: str,
        *,
        limit: int,
        weights: Sequence[float] = EQUAL_WEIGHTS,
        collections: Collections = None,
        documents_only: Collection[int] | None = None,
    ) -> list[tuple[int, float]]:
        """The `limit` best chunks for a query in FTS5's language as (chunk, BM25), best and highest first.

        `weights` are those of `fulltext.COLUMNS`: name, about, heading, text.
        """
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return fulltext.match(connection, query, limit, weights, within, documents_only)

    def nearest(
        self, vector: Vector, *, k: int, collections: Collections = None, documents_only: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        """The k chunks nearest to a vector of shape (dimensions,) as (chunk, cosine), best first."""
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return self._index.nearest(connection, vector, k, within, documents_only)

    def match_documents(
        self, query: str, *, limit: int, weights: Sequence[float] = (1.0, 1.0), collections: Collections = None
    ) -> list[tuple[int, float]]:
        """The `limit` documents whose name and first page fit a query in FTS5's language best, as (number, BM25).

        `weights` are those of `sources.COLUMNS`: name, about.
        """
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return sources.match(connection, query, limit, weights, within)

    def sources(self, numbers: Collection[int]) -> dict[int, tuple[str, str]]:
        """What `match_documents` knows of these documents: name and about by number."""
        with self._database.read() as connection:
            return sources.of_documents(connection, numbers)

    def name_vectors(self, collections: Collections = None) -> tuple[list[int], Matrix]:
        """The numbers of the documents that can be found, and their names' vectors, (documents, dimensions)."""
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return names.matrix(connection, self._index.embedder, self._index.dimensions, within)

    def vectors(self, chunks: Collection[int]) -> tuple[list[int], Matrix]:
        """Those of the chunks that exist, ascending, and their vectors, shape (chunks, dimensions)."""
        with self._database.read() as connection:
            return self._index.of_chunks(connection, chunks)

    def passages(self, chunks: Sequence[int]) -> list[PassageRow]:
        """The chunks in the order asked for, without those that have gone."""
        with self._database.read() as connection:
            return passages.passages(connection, chunks)

    def neighbours(self, chunk: int, *, before: int = 1, after: int = 1) -> list[int]:
        """The chunk and those around it in its document, in reading order; empty if it has gone."""
        with self._database.read() as connection:
            return passages.neighbours(connection, chunk, before, after)

    def chunk_words(self, chunk: int) -> tuple[ChunkWord, ...]:
        """The map from the chunk's words to the pages' own.

        Raises:
            NotFound: it has gone.
        """
        with self._database.read() as connection:
            return passages.chunk_words(connection, chunk)

    def page(self, chunk: int, number: int) -> PageRow:
        """A page of the document as it was read when the chunk was made.

        Raises:
            NotFound: the chunk has gone, or there is no such page.
        """
        with self._database.read() as connection:
            return passages.page(connection, chunk, number)

    def page_text(self, chunk: int, number: int) -> str:
        """The own text of a page of the chunk's document; see `page`."""
        return self.page(chunk, number).text

    # Soundness

    def check(self) -> list[str]:
        """Everything that is wrong with the store, in plain words; reads all of it, and holds up nobody."""
        with self._database.read_anew() as connection:
            return integrity.check(connection, self._index)

    def digest(self) -> str:
        """A fingerprint of the contents, equal for equal libraries; see `digest.py`."""
        with self._database.read() as connection:
            return digest(connection, self._index)

    def _remove(self, connection: apsw.Connection, number: int) -> None:
        documents.get(connection, number)
        revisions.drop_all(connection, self._index, number)
        documents.delete(connection, number)

    def _write_named(self, job: Callable[[apsw.Connection, dict[str, Vector]], T]) -> T:
        """Run `job` in one transaction; names that it turns out to need are embedded on this thread, in between."""
        known_names: dict[str, Vector] = {}
        while True:
            try:
                return self._database.write(lambda connection: job(connection, known_names))
            except names.NameWanted as wanted:
                known_names[wanted.text] = self._embed_name(wanted.text)
