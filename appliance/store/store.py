"""The facade of the store: documents, embedding models, passages and checks; `queue` and `snapshot` do the rest.

Each public method is one transaction or one snapshot. Reads may come from any thread; writes go through the one writer
thread. Paths and collections are bytes. Methods that read take `collections=None` for all collections; a set restricts
them to what the caller may see.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import apsw

from appliance.store.database.database import Database
from appliance.store.database.migrations import migrate
from appliance.store.database.secure_cleaning import Pace
from appliance.store.document_queue import DocumentQueue
from appliance.store.ids import chunk_number, document_number
from appliance.store.indexes import document_names
from appliance.store.rows import (
    DocumentRow,
    EmbedderKey,
    EmbedderStatus,
    KnownFile,
    PageRow,
    ReadingRow,
    ReadPage,
    RevisionRow,
    Skipped,
    State,
    WorkLeft,
)
from appliance.store.snapshot import Collections, Snapshot
from appliance.store.tables import documents, embedders, integrity, passages, reading_report, removal, revisions
from appliance.store.tables.digest import digest
from appliance.store.vector_rebuild import Rebuild
from ingest.types import ChunkWord, FileIdentity, Vector

T = TypeVar("T")
EmbedName = Callable[[str], Vector]


class ModelGone(Exception):
    """The embedding model is no longer open; look up the current one and try again."""


class Store:
    """An open store; a context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.queue = DocumentQueue(database, self._write_named)
        self._embed_names: dict[str, EmbedName] = {}

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        embedder: EmbedderKey | None = None,
        embed_name: EmbedName | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> Self:
        """Open the store at `path`; create or migrate it if needed.

        `embedder` is passed to `want`, and `embed_name`, which embeds a document's name as a passage, to `name_with`.
        `pace` sets when deleted words are wiped from the file.

        Raises:
            StoreTooNew, StoreCorrupt, StoreFull, StoreError: the file cannot be used as it is.
        """
        store = cls(Database(path, lambda connection: migrate(connection, path), sweep=removal.Sweeper(), pace=pace))
        try:
            if embedder is not None:
                store.want(embedder)
                if embed_name is not None:
                    store.name_with(embedder.identity, embed_name)
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float = 5.0) -> None:
        """Finish the waiting writes within `timeout` seconds, then close; see `Database.close`."""
        self._database.close(timeout)

    # Documents

    def get(self, document: str) -> DocumentRow:
        """The document with this id.

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
        """The documents whose file last had this inode."""
        with self._database.read() as connection:
            return documents.by_inode(connection, device, inode)

    def paths_under(self, path: bytes) -> list[bytes]:
        """The paths of the document at `path` and of all documents below it."""
        with self._database.read() as connection:
            return documents.paths_under(connection, path)

    def by_display(self, document: str) -> DocumentRow | None:
        """The document whose path is displayed as this text."""
        with self._database.read() as connection:
            return documents.by_display(connection, document)

    def list_documents(
        self, *, limit: int, cursor: str | None = None, collections: Collections = None, state: State | None = None
    ) -> tuple[list[DocumentRow], str | None]:
        """Up to `limit` documents in the order of their paths, and the cursor for the next page, None at the end.

        Raises:
            InvalidRequest: the cursor is not one of ours.
        """
        with self._database.read() as connection:
            within = documents.collection_numbers(connection, collections)
            return documents.page(connection, limit, cursor, within, state)

    def counts(self, collections: Collections = None) -> dict[State, int]:
        """Number of documents by state."""
        with self._database.read() as connection:
            return documents.counts(connection, documents.collection_numbers(connection, collections))

    def chunk_count(self, collections: Collections = None) -> int:
        """Number of findable chunks."""
        with self._database.read() as connection:
            return documents.chunk_count(connection, documents.collection_numbers(connection, collections))

    def skipped(self, collections: Collections = None) -> Skipped:
        """Counts the pages that could not be read."""
        with self._database.read() as connection:
            return documents.skipped(connection, documents.collection_numbers(connection, collections))

    def work_left(self, collections: Collections = None) -> WorkLeft:
        """Counts what is still to be read."""
        with self._database.read() as connection:
            return documents.work_left(connection, documents.collection_numbers(connection, collections))

    def collections(self) -> set[bytes]:
        """The collections with at least one document, in any state."""
        with self._database.read() as connection:
            return documents.collections(connection)

    def known_files(self) -> dict[bytes, KnownFile]:
        """Every known file by its path."""
        with self._database.read() as connection:
            return documents.known_files(connection)

    def rename(self, document: str, path: bytes, identity: FileIdentity | None = None) -> None:
        """Move a document to its file's new path; only the name is embedded. A document already there is removed.

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)

        def job(connection: apsw.Connection, known_names: document_names.KnownNames) -> None:
            before = documents.get(connection, number).path
            there = documents.by_path(connection, path)
            if there is not None and there.number != number:
                self._remove(connection, there.number)
            documents.set_path(connection, number, path)
            revisions.renamed(connection, embedders.writing(connection), number, before, known_names)
            if identity is not None:
                documents.set_identity(connection, number, identity)

        self._write_named(job)

    def remove(self, document: str) -> None:
        """Delete a document and everything read from it. Rows of a large one follow in steps (`tables.removal`).

        Raises:
            UnknownDocument: there is none.
        """
        number = document_number(document)
        self._database.write(lambda connection: self._remove(connection, number))

    # Embedding models

    def embedding(self) -> EmbedderStatus:
        """The embedding models that the store has vectors of."""
        with self._database.read() as connection:
            return embedders.standing(connection)

    def want(self, key: EmbedderKey) -> EmbedderStatus:
        """Make this the serving model: at once if the vectors are its own or there are none yet.

        Otherwise it becomes the target, for which the vectors are rebuilt (`rebuild`). Any other target is dropped.
        """
        return self._database.write(lambda connection: embedders.want(connection, key))

    def forget_serving(self) -> EmbedderStatus:
        """Drop the vectors of the serving model, which is no longer available, if there is a target."""
        return self._database.write(embedders.forget_serving)

    def name_with(self, identity: str, embed_name: EmbedName) -> None:
        """Use `embed_name` wherever this model's vector of a document's name is needed.

        It raises `ModelGone` once the model is closed; the transaction then runs again with the model that took over.
        """
        self._embed_names[identity] = embed_name

    def rebuild(self) -> Rebuild | None:
        """The work of making the target's vectors; None without a target."""
        with self._database.read() as connection:
            index = embedders.target(connection)
        return Rebuild(self._database, index) if index else None

    # Search

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One snapshot for a whole search; for use in one thread."""
        with self._database.read() as connection:
            yield Snapshot(connection)

    def chunk_words(self, chunk: int) -> tuple[ChunkWord, ...]:
        """The map from the chunk's words to the words of its pages.

        Raises:
            NotFound: the chunk no longer exists.
        """
        with self._database.read() as connection:
            return passages.chunk_words(connection, chunk)

    def page(self, chunk: int, number: int) -> PageRow:
        """A page of the chunk's document, in the revision that the chunk belongs to.

        Raises:
            NotFound: the chunk no longer exists, or there is no such page.
        """
        with self._database.read() as connection:
            return passages.page(connection, chunk, number)

    def page_text(self, chunk: int, number: int) -> str:
        """The text of a page of the chunk's document; see `page`."""
        return self.page(chunk, number).text

    def revision(self, document: str) -> RevisionRow | None:
        """The revision that answers, else the one being read; None if nothing has been read."""
        number = document_number(document)
        with self._database.read() as connection:
            return reading_report.revision(connection, number)

    def reading(self, document: str) -> ReadingRow | None:
        """How that revision was read; None if nothing has been read."""
        number = document_number(document)
        with self._database.read() as connection:
            return reading_report.reading(connection, number)

    def read_page(self, document: str, number: int, chunk: str | None = None) -> ReadPage | None:
        """A page of that revision with the words of its passages, or of the passage `chunk` alone, on all of its pages.

        Raises:
            NotFound: the chunk no longer exists, or belongs to another document.
        """
        owner, passage = document_number(document), None if chunk is None else chunk_number(chunk)
        with self._database.read() as connection:
            return reading_report.read_page(connection, owner, number, passage)

    # Soundness

    def check(self) -> list[str]:
        """Every fault of the store, in plain words. Reads the whole file; writes go on meanwhile."""
        with self._database.read_anew() as connection:
            return integrity.check(connection, embedders.serving(connection))

    def digest(self) -> str:
        """A fingerprint of the contents, equal for equal libraries; see `tables.digest`."""
        with self._database.read() as connection:
            return digest(connection, embedders.writing(connection))

    def _remove(self, connection: apsw.Connection, number: int) -> None:
        documents.get(connection, number)
        if removal.needs_steps(connection, number):
            removal.begin(connection, number)
            return
        revisions.drop_all(connection, embedders.writing(connection), number)
        documents.delete(connection, number)

    def _write_named(self, job: Callable[[apsw.Connection, document_names.KnownNames], T]) -> T:
        """Run `job` in one transaction. On `NameWanted`, embed the name on this thread and run the job again.

        If another model takes over in between, the job asks for that model's vectors in turn.
        """
        known_names: document_names.KnownNames = {}
        while True:
            try:
                return self._database.write(lambda connection: job(connection, known_names))
            except document_names.NameWanted as wanted:
                with suppress(ModelGone):
                    known_names[wanted.embedder, wanted.text] = self._embed_names[wanted.identity](wanted.text)
